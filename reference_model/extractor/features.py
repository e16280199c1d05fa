"""Wrenformer's input features, in the order of our tables: 1 (share of atoms) + 200 (element) + 444 (position) = 645.

Element vectors are Matscholar's (Tshitoyan et al. 2019), position vectors those of aviary (`bra-alg-off`), both read
from the files of the installed package without importing it (which would pull in wandb and pymatgen).
"""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from wyckoffkit import SpaceGroup, WyckoffkitError
from wyckoffkit.elements import SYMBOLS

N_ELEMENT_FEATURES = 200
N_POSITION_FEATURES = 444
N_FEATURES = 1 + N_ELEMENT_FEATURES + N_POSITION_FEATURES

Array = np.ndarray[Any, np.dtype[Any]]


class MissingExtra(WyckoffkitError):
    """A package that is not installed."""


def _aviary_folder() -> Path:
    spec = importlib.util.find_spec("aviary")
    folders = list(spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        if (Path(folder) / "embeddings" / "wyckoff" / "bra-alg-off.json").exists():
            return Path(folder)
    raise MissingExtra("Wrenformer's features come with the package aviary-models: pip install 'wyckoffkit[evaluate]'")


@cache
def position_features() -> Array:
    """(1731, 444) float32, rows in table order (groups ascending, a … z, A)."""
    path = _aviary_folder() / "embeddings" / "wyckoff" / "bra-alg-off.json"
    table = json.loads(path.read_text())
    rows = [table[str(n)][letter] for n in range(1, 231) for letter in SpaceGroup.from_number(n).letters]
    return np.array(rows, np.float32)


@cache
def element_features() -> Array:
    """(119, 200) float32 by atomic number; zeros where there are none (0, and beyond Lr)."""
    path = _aviary_folder() / "embeddings" / "element" / "matscholar200.json"
    table = json.loads(path.read_text())
    features = np.zeros((len(SYMBOLS), N_ELEMENT_FEATURES), np.float32)
    for z, symbol in enumerate(SYMBOLS):
        if symbol in table:
            features[z] = table[symbol]
    return features


def has_features() -> Array:
    """(119,) bool by atomic number."""
    return np.asarray(element_features().any(axis=1))


@cache
def position_classes() -> Array:
    """(1731,) int64: equal numbers for positions with equal feature vectors."""
    return np.unique(position_features(), axis=0, return_inverse=True)[1].astype(np.int64).ravel()
