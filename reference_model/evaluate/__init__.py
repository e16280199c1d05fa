"""Evaluation: `python -m reference_model.evaluate SAMPLES`, or `evaluate(...)` from Python.

samples, against, measure, table: each uses those before it. The package itself imports nothing, so that `--help` does
not wait.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers know it; typing takes its time
if TYPE_CHECKING:
    from typing import Any

__all__ = ["evaluate"]


def __getattr__(name: str) -> Any:
    if name == "evaluate":
        from .measure import evaluate

        return evaluate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
