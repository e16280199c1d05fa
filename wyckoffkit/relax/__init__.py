"""From a label to its crystal of least energy, under any ASE calculator."""

from .calculators import DEFAULT_CALCULATOR, Calculator, calculator_named
from .many import loaded_calculator, read_relaxed, relax_many
from .outcome import Relaxed, StageOptions
from .search import RelaxOptions, relax_label
from .stage import relax_crystal

__all__ = [
    "DEFAULT_CALCULATOR",
    "Calculator",
    "RelaxOptions",
    "Relaxed",
    "StageOptions",
    "calculator_named",
    "loaded_calculator",
    "read_relaxed",
    "relax_crystal",
    "relax_label",
    "relax_many",
]
