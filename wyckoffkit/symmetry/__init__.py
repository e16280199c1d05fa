"""From atoms in a cell to a protostructure, through moyopy or spglib."""

from .crystal import Crystal, crystal_from_dict, crystal_of, lattice_of
from .known import Answer
from .search import (
    DEFAULT_SYMPREC,
    ENGINES,
    KNOWN,
    Flip,
    check_search,
    find_protostructure,
    protostructure_of,
    sweep_symprec,
)

__all__ = [
    "DEFAULT_SYMPREC",
    "ENGINES",
    "KNOWN",
    "Answer",
    "Crystal",
    "Flip",
    "check_search",
    "crystal_from_dict",
    "crystal_of",
    "find_protostructure",
    "lattice_of",
    "protostructure_of",
    "sweep_symprec",
]
