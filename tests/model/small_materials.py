"""A few hundred valid materials for training tests: the paper's labels with their elements replaced."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wyckoffkit import Orbit, Protostructure, format_label, parse_label
from wyckoffkit.dataset import write_dataset
from wyckoffkit.elements import SYMBOLS
from wyckoffkit.encoding import WyckoffColumns, to_columns

# Table 4 of the WyckoffDiff preprint (arXiv:2502.06485).
PAPER = (
    "AB6C_hR24_166_a_h_b:Cs-F-Sn",
    "A2B6CD_cF40_225_c_e_a_b:Cs-F-Ni-Rb",
    "A6B3C_mC20_12_ij_ai_d:F-Rb-V",
    "A5B2C_tP8_123_bj_e_a:F-K-Zn",
    "ABC2_hP8_194_a_c_f:Na-Nb-O",
    "ABC4_tI24_141_a_b_h:As-Nd-O",
    "A2BC7D2_hR36_155_c_a_bf_c:Al-Ba-O-Sb",
    "AB_cF8_225_a_b:Ca-O",
    "AB4C_oC24_63_c_fg_c:Ca-O-S",
)


def small_materials(n: int, seed: int = 0, n_elements: int = 20) -> tuple[WyckoffColumns, list[str]]:
    """(columns, labels) of n materials with elements among the first `n_elements`; labels not made canonical."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(n):
        pattern = parse_label(PAPER[i % len(PAPER)])
        old = list(pattern.composition)
        new = [SYMBOLS[1 + z] for z in rng.choice(n_elements, size=len(old), replace=False)]
        renamed = dict(zip(old, new, strict=True))
        orbits = tuple(Orbit(renamed[o.element], o.letter) for o in pattern.orbits)
        made.append(Protostructure(pattern.space_group, orbits))
    return to_columns(made), [format_label(p) for p in made]


def write_small_dataset(path: Path, split: Sequence[int], *, seed: int = 0, **options: Any) -> Path:
    """A dataset file of as many of these as `split` has rows, each in its canonical setting."""
    materials = [p.canonical() for p in small_materials(len(split), seed)[0]]
    names, labels = [f"m-{i}" for i in range(len(split))], [format_label(p) for p in materials]
    write_dataset(path, to_columns(materials), material_id=names, label=labels, split=split, **options)
    return path
