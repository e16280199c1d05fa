"""Real labels: the paper's, 300 of WBM (tests/data, see the README there), and all of WBM where that is at hand."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pytest

# Ekström Kelvinius et al. 2025, Table 4 of the preprint.
PAPER_LABELS = """
AB6C_hR24_166_a_h_b:Cs-F-Sn A2B6CD_cF40_225_c_e_a_b:Cs-F-Ni-Rb AB6C_hR24_148_a_f_b:Ba-F-W A6BC_cF32_225_e_a_b:F-Li-Ru
A6B3C_mC20_12_ij_ai_d:F-Rb-V A5B2C_tP8_123_bj_e_a:F-K-Zn A6BC_cF32_225_e_a_b:F-K-Ta A6BC_mC16_12_ij_a_d:F-Ti-Zn
ABC2_hP8_194_a_c_f:Na-Nb-O A6BCD2_cF40_225_e_a_b_c:F-Ga-Na-Rb ABC4_tI24_141_a_b_h:As-Nd-O A3B_hR24_167_e_b:F-Ga
A2BC7D2_hR36_155_c_a_bf_c:Al-Ba-O-Sb AB_cF8_225_a_b:Ca-O ABC_hP6_194_c_d_a:F-La-Se AB4C_oC24_63_c_fg_c:Ca-O-S
A2BC_hR12_166_c_a_b:Ca-I-P
""".split()

LABEL_FILE = Path(__file__).with_name("data") / "wbm_labels.txt"
WBM_LABELS = LABEL_FILE.read_text(encoding="utf-8").split()

_SHARED = (folder / "shared" / "data" / "wbm" for folder in Path(__file__).resolve().parents)
ALL_OF_WBM = next((folder for folder in _SHARED if folder.is_dir()), None)
"""The folder of the whole data set, which is not part of the project."""
needs_all_of_wbm = pytest.mark.skipif(
    ALL_OF_WBM is None, reason="shared/data/wbm is beside no parent folder: all of WBM is no part of the project"
)


def all_labels_of_wbm() -> dict[str, str]:
    """{material_id: label} of 246,963 materials."""
    assert ALL_OF_WBM is not None
    with gzip.open(ALL_OF_WBM / "wbm_labels.csv.gz", "rt", encoding="utf-8", newline="") as file:
        return {row["material_id"]: row["label"] for row in csv.DictReader(file)}
