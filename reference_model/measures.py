"""Names of an evaluation's measures that several modules spell alike, and how those are shown that are no shares."""

from __future__ import annotations

MEMORY = "training label over held-out label"
"""How much likelier a sample equals a training label than an equally frequent held-out one."""
PLAIN = {
    "collision probability": ".2e",
    "prototype collision probability": ".2e",
    MEMORY: ".3g",
    "novel a minute": ",.0f",
}
"""Measures that are no share of materials, so not shown in per cent, and their formats."""
