"""From a protostructure to crystals: cells and free coordinates are drawn, the rest is exact."""

from .engine import most_trials, realize, realize_batch
from .files import FORMATS, format_cif, format_extxyz, format_poscar, structure_dict
from .many import RealizeOptions, read_realized, realize_many, realize_one
from .second import PyxtalEngine
from .trial import Realization, Trial, UnrealizedError, build

__all__ = [
    "FORMATS",
    "PyxtalEngine",
    "Realization",
    "RealizeOptions",
    "Trial",
    "UnrealizedError",
    "build",
    "format_cif",
    "format_extxyz",
    "format_poscar",
    "most_trials",
    "read_realized",
    "realize",
    "realize_batch",
    "realize_many",
    "realize_one",
    "structure_dict",
]
