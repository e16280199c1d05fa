"""Other people's samples: each format gives the label of a known crystal, and every bad row is counted."""

from __future__ import annotations

import argparse
import gzip
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from reference_model.evaluate.samples import SWEEP, read_samples
from wyckoffkit import DatasetError

# Halite: Wyckoff 1931; conventional cell, a = 5.64 Å.
HALITE = "AB_cF8_225_a_b:Cl-Na"
FRAC = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
FRAC = np.concatenate([FRAC, FRAC + 0.5])
NUMBERS = np.array([11] * 4 + [17] * 4)
CIF = """data_x
_symmetry_space_group_name_H-M 'P 1'
_cell_length_a 5.64
_cell_length_b 5.64
_cell_length_c 5.64
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
loop_
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
""" + "".join(
    f"{'Na' if z == 11 else 'Cl'} {x:.4f} {y:.4f} {w:.4f}\n" for z, (x, y, w) in zip(NUMBERS, FRAC, strict=True)
)


def tensors(n=2, **changes):
    """What CDVAE's generation writes for n copies of halite, in two evaluations."""
    content = {
        "eval_setting": argparse.Namespace(model_path="/tmp/x", label=""),
        "frac_coords": torch.tensor(np.tile(FRAC, (2, n, 1)), dtype=torch.float32),
        "num_atoms": torch.full((2, n), 8),
        "atom_types": torch.tensor(np.tile(NUMBERS, (2, n))),
        "lengths": torch.full((2, n, 3), 5.64),
        "angles": torch.full((2, n, 3), 90.0),
        "time": 1.5,
    }
    return {**content, **changes}


def test_generated_tensors_are_read_without_running_a_pickle(tmp_path):
    torch.save(tensors(), tmp_path / "eval_gen.pt")
    found = read_samples(tmp_path / "eval_gen.pt")
    assert found.labels == (HALITE,) * 4
    assert found.symprec == 0.1


def test_tensors_of_one_evaluation_lists_and_scores_are_read(tmp_path):
    whole = tensors()
    flat = {name: value[0] if isinstance(value, torch.Tensor) else value for name, value in whole.items()}
    torch.save(flat, tmp_path / "flat.pt")
    assert read_samples(tmp_path / "flat.pt").labels == (HALITE,) * 2
    batches = {name: list(value) if isinstance(value, torch.Tensor) else value for name, value in whole.items()}
    torch.save(batches, tmp_path / "batches.pt")
    assert read_samples(tmp_path / "batches.pt").labels == (HALITE,) * 4
    scores = torch.nn.functional.one_hot(whole["atom_types"] - 1, 100).float()
    torch.save({**whole, "atom_types": scores}, tmp_path / "scores.pt")
    assert read_samples(tmp_path / "scores.pt").labels == (HALITE,) * 4


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("the pickle was run",))


def test_a_pickle_with_other_objects_is_refused_and_not_run(tmp_path):
    torch.save(tensors(eval_setting=Bomb()), tmp_path / "bomb.pt")
    with pytest.raises(DatasetError, match="unpickling those can run any code"):
        read_samples(tmp_path / "bomb.pt")


def test_tensors_that_lack_something_or_do_not_add_up_are_refused(tmp_path):
    content = tensors()
    del content["angles"]
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(DatasetError, match="lacks angles"):
        read_samples(tmp_path / "a.pt")
    torch.save(tensors(num_atoms=torch.full((2, 2), 7)), tmp_path / "b.pt")
    with pytest.raises(DatasetError, match="14 atoms by num_atoms, 16 coordinates"):
        read_samples(tmp_path / "b.pt")


def test_a_broken_structure_is_counted_and_costs_no_other(tmp_path):
    lengths = torch.full((2, 2, 3), 5.64)
    lengths[0, 1] = float("nan")
    torch.save(tensors(lengths=lengths), tmp_path / "x.pt")
    found = read_samples(tmp_path / "x.pt")
    assert found.labels == (HALITE,) * 3
    assert [r.line for r in found.rejected] == [1]


GENES = [
    {"group": 225, "sites": [["4a"], ["4b"]], "species": ["Na", "Cl"], "numIons": [4, 4]},
    {"group": 225, "sites": [["4a", "24e"]], "species": ["Na"], "numIons": [28]},
    {"group": 225, "sites": [["8a"], ["4b"]], "species": ["Na", "Cl"], "numIons": [8, 4]},
    {"group": 999, "sites": [["4a"]], "species": ["Na"], "numIons": [4]},
    {"group": 225, "species": ["Na"]},
    "nonsense",
]


def test_genes_of_the_wyckoff_transformer_are_read(tmp_path):
    path = tmp_path / "genes.json.gz"
    path.write_bytes(gzip.compress(json.dumps(GENES).encode()))
    found = read_samples(path)
    assert found.labels == (HALITE, "A_cF28_225_ae:Na")
    assert [r.line for r in found.rejected] == [2, 3, 4, 5]
    assert "multiplicity 4, got 8" in found.rejected[0].reason
    assert found.symprec is None


COLUMNS = """L,X,A,W,M
"[5.6]*3","[[0,0,0]]","[11, 17, 0]","[1, 2, 0]","[4, 4, 0]"
"[5.6]*3","[[0,0,0]]","[11, 17, 0]","[1, 1, 0]","[4, 4, 0]"
"[5.6]*3","[[0,0,0]]","[11, 0, 0]","[1, 2, 0]","[4, 4, 0]"
"[5.6]*3","[[0,0,0]]","[11]","[77]","[4]"
"[5.6]*3","[[0,0,0]]","__import__('os')","[1]","[4]"
"""


def test_columns_of_crystalformer_are_read(tmp_path):
    path = tmp_path / "output_225.csv"
    path.write_text(COLUMNS)
    found = read_samples(path)
    assert found.labels == (HALITE,)
    assert [r.line for r in found.rejected] == [1, 2, 3, 4]
    other = tmp_path / "samples.csv"
    other.write_text(COLUMNS)
    with pytest.raises(DatasetError, match="neither in a column G nor in the name"):
        read_samples(other)
    path.write_text(f'"{COLUMNS}')
    with pytest.raises(DatasetError, match="no columns A and W"):
        read_samples(path)


def test_folders_archives_and_tables_of_cif_are_read(tmp_path):
    folder = tmp_path / "cifs"
    folder.mkdir()
    (folder / "a.cif").write_text(CIF)
    (folder / "b.cif").write_text(CIF.replace("Na", "K"))
    (folder / "c.cif").write_text("data_broken\nloop_\n")
    with zipfile.ZipFile(tmp_path / "generated_crystals_cif.zip", "w") as archive:
        archive.writestr("gen_0.cif", CIF)
    (tmp_path / "table.csv").write_text('id,cif\n1,"' + CIF + '"\n')
    found = read_samples(folder)
    assert found.labels == (HALITE, "AB_cF8_225_a_b:Cl-K")
    assert len(found.rejected) == 1
    assert read_samples(tmp_path / "generated_crystals_cif.zip").labels == (HALITE,)
    assert read_samples(tmp_path / "table.csv").labels == (HALITE,)


def test_a_sweep_shows_where_the_label_depends_on_the_tolerance(tmp_path):
    shifted = FRAC.copy()
    shifted[0, 2] += 0.03 / 5.64  # Å along c: halite above this tolerance, less below
    coordinates = torch.tensor(np.stack([np.concatenate([FRAC, shifted])]), dtype=torch.float64)
    one = {name: value[:1] if isinstance(value, torch.Tensor) else value for name, value in tensors().items()}
    torch.save({**one, "frac_coords": coordinates}, tmp_path / "x.pt")
    found = read_samples(tmp_path / "x.pt", sweep=True)
    assert set(found.sweep) == set(SWEEP)
    assert all(labels[0] == HALITE for labels in found.sweep.values())
    assert found.sweep[0.01][1] != HALITE
    assert found.sweep[0.3][1] == HALITE
    assert found.labels == (HALITE, HALITE)


def test_an_empty_folder_is_a_named_error(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=str(Path(tmp_path / "empty"))):
        read_samples(tmp_path / "empty")
