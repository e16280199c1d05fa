"""Files that appear whole or not at all, and outputs that one process at a time may write."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from .errors import WyckoffkitError


@contextmanager
def replacing(path: Path, *, on_disk: bool = True) -> Iterator[Path]:
    """A path in the same folder that becomes `path`, and is on disk, when the block ends well, and else vanishes.

    To wait for the disk takes some 15 ms; without `on_disk` a power cut can empty the file, a killed process cannot.
    Where `path` is a link to a file, the file is replaced and the link stays. Raises OSError with the name of `path`
    where the folder or the disk refuses.
    """
    path = path.resolve() if path.is_symlink() else path
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if on_disk:
            _wait_for_disk(temporary)
        os.replace(temporary, path)
        if on_disk:
            _wait_for_disk(path.parent)
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(temporary), temporary):
            raise type(error)(error.errno, error.strerror, str(path)) from None
        raise
    finally:
        with suppress(OSError):  # where the folder is none, what was raised says so
            temporary.unlink(missing_ok=True)


def _wait_for_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def hold(file: IO[Any] | int, output: Path) -> None:
    """Keep the lock of an open file (or descriptor) until it is closed; WyckoffkitError where another process has it.

    File systems without locks (some network ones) are written without.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise WyckoffkitError(f"{output}: another process is writing it; wait, or choose another name") from None
    except OSError:
        pass


@contextmanager
def holding(folder: Path) -> Iterator[None]:
    """The folder, made if need be, is this process's alone. Raises WyckoffkitError where another one has it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        hold(lock, folder)
        yield
    finally:
        os.close(lock)
