"""Evaluation: `python -m reference_model.evaluate SAMPLES`, or `evaluate(...)` from Python.

samples, against, measure, asked, table: each uses those before it. The package itself imports nothing, so that
`--help` does not wait.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers know it; typing takes its time

__all__ = ["evaluate"]

if TYPE_CHECKING:
    from typing import Any

    from .asked import evaluate


def __getattr__(name: str) -> Any:
    if name in __all__:
        from . import asked

        return getattr(asked, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
