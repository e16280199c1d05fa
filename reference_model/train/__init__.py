"""Training: `python -m reference_model.train data.h5 -o run/`, or `train(...)` from Python.

data, objective, optimiser, processes, state, engine, start: each uses those before it. The package itself imports
nothing, so that `--help` does not wait for torch.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers know it; typing takes its time

__all__ = ["train"]

if TYPE_CHECKING:
    from typing import Any

    from .start import train


def __getattr__(name: str) -> Any:
    if name in __all__:
        from . import start

        return getattr(start, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
