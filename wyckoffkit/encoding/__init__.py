"""The tensor form (s, z0, z∞) of protostructures: one at a time, and in columns."""

from .arrays import DEFAULT_N_ELEMENTS, WyckoffArrays, check_encodable, decode, encode
from .columns import ALPHABETICAL, WyckoffColumns, concatenate, to_columns

__all__ = [
    "ALPHABETICAL",
    "DEFAULT_N_ELEMENTS",
    "WyckoffArrays",
    "WyckoffColumns",
    "check_encodable",
    "concatenate",
    "decode",
    "encode",
    "to_columns",
]
