"""Two screens of single protostructures: can the composition balance its charges, and does the label collapse?"""

from __future__ import annotations

import importlib
from functools import lru_cache
from typing import TYPE_CHECKING

from wyckoffkit.collapse import collapses
from wyckoffkit.metrics import Estimate, proportion

if TYPE_CHECKING:
    from wyckoffkit.encoding import WyckoffColumns

SMACT, COLLAPSED, TRICLINIC, P1 = (
    "compositions that SMACT accepts",
    "labels that collapse into a supergroup",
    "in groups 1–15 (triclinic, monoclinic)",
    "in P1",
)


def plausibility(columns: WyckoffColumns) -> dict[str, Estimate]:
    """Shares of materials by each screen; SMACT's is left out where the package is not installed."""
    materials = list(columns)
    shares = {
        COLLAPSED: proportion(sum(map(collapses, materials)), len(materials)),
        TRICLINIC: proportion(int((columns.space_group <= 15).sum()), len(materials)),
        P1: proportion(int((columns.space_group == 1).sum()), len(materials)),
    }
    if has_smact():
        accepted = sum(_smact_accepts(tuple(sorted(p.composition.items()))) for p in materials)
        shares[SMACT] = proportion(accepted, len(materials))
    return shares


def has_smact() -> bool:
    """Whether the package is installed."""
    try:
        importlib.import_module("smact.screening")
    except ImportError:
        return False
    return True


@lru_cache(maxsize=1 << 17)
def _smact_accepts(composition: tuple[tuple[str, int], ...]) -> bool:
    """SMACT's charge and electronegativity test (Davies et al. 2019), metals and elements accepted as they are."""
    screening = importlib.import_module("smact.screening")
    try:
        return bool(screening.smact_validity("".join(f"{element}{n}" for element, n in composition)))
    except (KeyError, TypeError, ValueError, NameError):
        # Elements that SMACT has no oxidation states for.
        return False
