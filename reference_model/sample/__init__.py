"""Sampling: `python -m reference_model.sample [CHECKPOINT] -n 1000`, or `sample(...)` and `iterate(...)` from Python.

processes, draw, filters, conditioned, asked, output, command: each uses those before it. The package
itself imports nothing, so that `--help` does not wait for torch.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers know it; typing takes its time

__all__ = ["Conditions", "Sample", "iterate", "sample"]

if TYPE_CHECKING:
    from typing import Any

    from .asked import Conditions, iterate, sample
    from .draw import Sample


def __getattr__(name: str) -> Any:
    if name in __all__:
        from . import asked

        return getattr(asked, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
