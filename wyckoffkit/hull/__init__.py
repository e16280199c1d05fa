"""Relaxed crystals among the known materials: formation energy, energy above hull, rates of what is stable and new."""

from .above import Hull, Rates, hull_rows, rates
from .plot import plot_system
from .references import Reference, References, check_scale, known_labels, read_references, write_references

__all__ = [
    "Hull",
    "Rates",
    "Reference",
    "References",
    "check_scale",
    "hull_rows",
    "known_labels",
    "plot_system",
    "rates",
    "read_references",
    "write_references",
]
