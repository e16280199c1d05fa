"""Can a composition balance its charges? SMACT's rule (Davies et al. 2019, doi:10.21105/joss.01361), within bounds."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import lru_cache

from .errors import ProtostructureError

MOST_ELEMENTS = 9
"""Of more elements SMACT would try so many combinations of oxidation states that it does not come back."""


def has_smact() -> bool:
    """Whether the package is installed."""
    try:
        importlib.import_module("smact.screening")
    except ImportError:
        return False
    return True


def balances_charges(composition: Mapping[str, int]) -> bool:
    """Whether SMACT finds oxidation states that add up to zero and follow electronegativity.

    Metals and elements pass as they are. Elements that SMACT knows no states of do not, nor do compositions of more
    than `MOST_ELEMENTS`. Raises ProtostructureError where smact is not installed.
    """
    return _balances(tuple(sorted(composition.items())))


@lru_cache(maxsize=1 << 17)
def _balances(composition: tuple[tuple[str, int], ...]) -> bool:
    if not has_smact():
        raise ProtostructureError("charge neutrality is judged by smact: pip install 'wyckoffkit[evaluate]'")
    if len(composition) > MOST_ELEMENTS:
        return False
    screening = importlib.import_module("smact.screening")
    try:
        return bool(screening.smact_validity("".join(f"{element}{n}" for element, n in composition)))
    except (KeyError, TypeError, ValueError, NameError):
        # Elements that SMACT has no oxidation states for.
        return False
