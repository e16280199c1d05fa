"""Relaxed crystals among the known materials: formation energy, energy above hull, rates of what is stable and new."""

from .above import Hull, Rates, hull_rows, rates
from .elemental import elemental_crystals, embedded_references, relax_elements
from .plot import plot_system
from .references import FORMATION, Reference, References, check_scale, known_labels, read_references, write_references

__all__ = [
    "FORMATION",
    "Hull",
    "Rates",
    "Reference",
    "References",
    "check_scale",
    "elemental_crystals",
    "embedded_references",
    "hull_rows",
    "known_labels",
    "plot_system",
    "rates",
    "read_references",
    "relax_elements",
    "write_references",
]
