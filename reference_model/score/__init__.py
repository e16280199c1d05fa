"""Bits a material: `python -m reference_model.score LABELS`, or `Scorer` from Python.

exact, scorer, command: each uses those before it. The package itself imports nothing, so that `--help` does not wait
for torch.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers know it; typing takes its time

__all__ = ["Score", "Scorer"]

if TYPE_CHECKING:
    from typing import Any

    from .scorer import Score, Scorer


def __getattr__(name: str) -> Any:
    if name in __all__:
        from . import scorer

        return getattr(scorer, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
