"""Two screens of single protostructures: can the composition balance its charges, and does the label collapse?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wyckoffkit.collapse import collapses
from wyckoffkit.metrics import Estimate, proportion
from wyckoffkit.neutrality import balances_charges, has_smact

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
        accepted = sum(balances_charges(p.composition) for p in materials)
        shares[SMACT] = proportion(accepted, len(materials))
    return shares
