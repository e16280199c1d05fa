"""From sampled labels to a ranked list of candidates: choose, realize, relax, place above the hull, report."""

from .pipeline import DiscoverOptions, Discovery, discover
from .rank import Candidate, Judge
from .report import write_report, write_vasp_inputs
from .select import Selection, Wanted, elements_of

__all__ = [
    "Candidate",
    "DiscoverOptions",
    "Discovery",
    "Judge",
    "Selection",
    "Wanted",
    "discover",
    "elements_of",
    "write_report",
    "write_vasp_inputs",
]
