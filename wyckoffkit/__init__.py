"""Crystals as occupied Wyckoff positions.

    >>> from wyckoffkit import decode, encode, parse_label
    >>> p = parse_label("AB6C_hR24_166_a_h_b:Cs-F-Sn")
    >>> p.composition, str(p.canonical()), str(p.prototype())
    ({'Cs': 3, 'F': 18, 'Sn': 3}, 'AB6C_hR24_166_a_h_b:Cs-F-Sn', 'ABC6_hR24_166_a_b_h')
    >>> decode(encode(p)) == p
    True

`find_protostructure` finds them in structures of pymatgen and ASE, `compare` tells whether two are the same; datasets
are in `wyckoffkit.dataset`, models in `reference_model`. Importing the package loads the standard library alone; each
name below is loaded at first use (PEP 562).
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # as type checkers know it; to import typing takes longer than all the rest

__version__ = "0.1.0"

# In the order of the data flow.
_EXPORTS = {
    "WyckoffkitError": "errors",
    "LabelError": "errors",
    "ProtostructureError": "errors",
    "SymmetryError": "errors",
    "DatasetError": "errors",
    "RealizationError": "errors",
    "CheckpointError": "errors",
    "SpaceGroup": "spacegroup",
    "WyckoffPosition": "spacegroup",
    "Orbit": "protostructure",
    "Protostructure": "protostructure",
    "Prototype": "protostructure",
    "parse_label": "label",
    "format_label": "label",
    "find_protostructure": "symmetry",
    "compare": "comparison",
    "WyckoffArrays": "encoding",
    "encode": "encoding",
    "decode": "encoding",
}

__all__ = [  # noqa: RUF022 - in the order of the data flow
    "__version__",
    "WyckoffkitError",
    "LabelError",
    "ProtostructureError",
    "SymmetryError",
    "DatasetError",
    "RealizationError",
    "CheckpointError",
    "SpaceGroup",
    "WyckoffPosition",
    "Orbit",
    "Protostructure",
    "Prototype",
    "parse_label",
    "format_label",
    "find_protostructure",
    "compare",
    "WyckoffArrays",
    "encode",
    "decode",
]

if TYPE_CHECKING:
    from typing import Any

    from .comparison import compare
    from .encoding import WyckoffArrays, decode, encode
    from .errors import (
        CheckpointError,
        DatasetError,
        LabelError,
        ProtostructureError,
        RealizationError,
        SymmetryError,
        WyckoffkitError,
    )
    from .label import format_label, parse_label
    from .protostructure import Orbit, Protostructure, Prototype
    from .spacegroup import SpaceGroup, WyckoffPosition
    from .symmetry import find_protostructure


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(importlib.import_module(f"{__name__}.{_EXPORTS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
