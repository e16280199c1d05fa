"""Files of torch (pickles) read as data: tensors, plain values, containers. Nothing that they name is imported or run.

Files of other projects hold objects of their own classes beside the tensors that are wanted: loss functions,
normalisers, graphs. Names on the caller's list become placeholders, which forget whatever they are built from; any
other name, and any other way to build an object, is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from wyckoffkit import WyckoffkitError


class TorchFileError(WyckoffkitError):
    """A file of torch that cannot be read, or will not be: then `has_objects` is set."""

    def __init__(self, message: str, *, has_objects: bool = False) -> None:
        super().__init__(message)
        self.has_objects = has_objects


def conversion(tensors: str) -> str:
    """What to tell whoever has a file that is refused: a command of theirs, which nothing here runs.

    `tensors` is the expression that picks what is kept of the content `c`.
    """
    return (
        "python -c \"import torch; c = torch.load('IN', weights_only=False, map_location='cpu'); "
        f"torch.save({tensors}, 'OUT')\""
    )


class Placeholder:
    """Stands where an object of another project was."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Placeholder:
        """Whatever the arguments."""
        return object.__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Forgets them."""

    def __setstate__(self, state: Any) -> None:
        """Forgets it."""


def read_torch_file(path: Path, *, inert: Sequence[str] = (), allowed: Iterable[type] = ()) -> Any:
    """The content of a file; names that begin with one of `inert` become placeholders, classes in `allowed` are built.

    Raises TorchFileError.
    """
    import torch

    try:
        stubs = [_placeholder(name) for name in _names(path) if name.startswith(tuple(inert))]
        with torch.serialization.safe_globals([*allowed, *stubs]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # on damaged data torch's restricted unpickler fails in any way there is
        signs = ("Unsupported", "GLOBAL", "unrecognized function", "Can only")
        if type(error).__name__ == "UnpicklingError" and any(sign in str(error) for sign in signs):
            raise TorchFileError(
                f"{path} holds Python objects besides tensors and plain values, and unpickling those can run any code, "
                "so it is refused",
                has_objects=True,
            ) from None
        raise TorchFileError(f"{path} is no torch file, or is cut off: {error}") from None


def _names(path: Path) -> list[str]:
    """What the pickle names that torch does not trust by itself; none where this torch cannot tell."""
    import torch

    listed = getattr(torch.serialization, "get_unsafe_globals_in_checkpoint", None)
    if listed is None:
        return []
    try:
        return list(listed(path))
    except Exception:  # not a zip archive, or damaged: reading it will say so
        return []


def _placeholder(name: str) -> type[Placeholder]:
    """A class of that full name."""
    module, _, qualified = name.rpartition(".")
    return type(qualified, (Placeholder,), {"__module__": module, "__qualname__": qualified})
