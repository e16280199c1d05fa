"""How every command of the project ends: 0, 1 with one sentence on stderr for what went wrong, 2 for usage."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from .errors import WyckoffkitError

EXTRAS = {
    "torch": "model",
    "safetensors": "model",
    "pymatgen": "structures",
    "ase": "structures",
    "pyxtal": "structures",
    "aviary": "evaluate",
    "smact": "evaluate",
    "plotly": "evaluate",
    "chgnet": "screen",
    "distributed": "distributed",
    "pyarrow": "parquet",
}
"""By package that a command may need: the extra that brings it."""


@contextmanager
def named_errors(command: str) -> Iterator[None]:
    """Turn named errors, and what the system refuses, into "COMMAND: sentence" and exit code 1.

    A reader that went away (`… | head`) is no error: nobody is left to tell. Anything else is a bug and shows itself.
    """
    try:
        yield
    except WyckoffkitError as error:
        stop(command, str(error))
    except BrokenPipeError:
        leave_unheard()
    except SystemExit as leaving:
        if isinstance(leaving.__context__, BrokenPipeError):  # typer leaves with 1 then
            leave_unheard()
        raise
    except MemoryError as error:
        stop(command, f"out of memory{f' ({error})' if str(error) else ''}; give it less at once, or more memory")
    except OSError as error:
        stop(command, system_message(error))
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        stop(command, f"needs {package}, which is not installed: pip install 'wyckoffkit[{EXTRAS[package]}]'")


def leave_unheard() -> NoReturn:
    """Leave with exit code 0: who read the output has gone. Nothing more can be flushed, so nothing must try."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(0) from None


def system_message(error: OSError) -> str:
    """What the system refused, with the file where it is known.

    >>> system_message(FileNotFoundError(2, "No such file or directory", "x.txt"))
    'x.txt: no such file or directory'
    """
    reason = (error.strerror or str(error) or type(error).__name__).lower()
    if error.filename is not None:
        return f"{error.filename}: {reason}"
    if error.errno == errno.ENOSPC:
        return f"the disk that is written to is full ({reason}); make room and give the command again"
    return reason


def stop(command: str, message: str) -> NoReturn:
    """Say why on stderr, in one piece however long, and leave with exit code 1."""
    # What was meant for stdout may be lost already (a full disk): that must not hide the reason.
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.stderr.write(f"{command}: {message}\n")
    raise SystemExit(1) from None
