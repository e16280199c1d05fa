"""The tensor form (s, z0, z∞) of protostructures: one at a time, and in columns."""

from .arrays import DEFAULT_N_ELEMENTS, WyckoffArrays, check_encodable, decode, encode
from .columns import ALPHABETICAL, COLUMN_TYPES, WyckoffColumns, concatenate, to_columns

__all__ = [
    "ALPHABETICAL",
    "COLUMN_TYPES",
    "DEFAULT_N_ELEMENTS",
    "WyckoffArrays",
    "WyckoffColumns",
    "check_encodable",
    "concatenate",
    "decode",
    "encode",
    "to_columns",
]
