"""The errors that wyckoffkit raises on purpose; each names the thing, the rule and the value."""

from __future__ import annotations


class WyckoffkitError(ValueError):
    """Base of every named error: catching it catches all that bad input can cause."""


class LabelError(WyckoffkitError):
    """A string that is not a protostructure label.

    `label` is the string and `column` the 0-based index of the first offending character, where there is one.
    """

    def __init__(self, message: str, label: str | None = None, column: int | None = None) -> None:
        self.message = message
        self.label = label
        self.column = column
        text = message
        if label is not None:
            # Control characters would break the caret's alignment, so they are shown as one replacement each.
            shown = "".join(c if c.isprintable() else "�" for c in label)
            text = f"{message}\n  {shown}"
            if column is not None:
                text += "\n  " + " " * column + "^"
        super().__init__(text)


class ProtostructureError(WyckoffkitError):
    """Orbits or tensors that describe no protostructure."""


class SymmetryError(WyckoffkitError):
    """A structure whose symmetry cannot be found."""


class DatasetError(WyckoffkitError):
    """A data file that cannot be read, or is of another format."""


class RealizationError(WyckoffkitError):
    """A protostructure for which no crystal could be built."""


class CheckpointError(WyckoffkitError):
    """A file that is not a checkpoint of this model."""
