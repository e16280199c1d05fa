"""Files as the scripts of other generators write them, with the libraries that they write with, of halite each time.

What each script saves was read in its repository: txie-93/cdvae scripts/evaluate.py, jiaor17/DiffCSP and DiffCSP-PP
scripts/generation.py, sibasmarak/SymmCD scripts/generation.py, facebookresearch/flowmm scripts_model/evaluate.py,
deepmodeling/CrystalFormer main.py, cli/spg_sample.py and scripts/awl2struct.py, SymmetryAdvantage/WyckoffTransformer
scripts/generate.py, hspark1212/chemeleon-dng chemeleon_dng/sample.py, microsoft/mattergen common/utils/eval_utils.py.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch

from reference_model.evaluate.samples import read_samples
from reference_model.evaluate.tensors import CONVERT
from wyckoffkit import DatasetError

# Halite: Wyckoff 1931; conventional cell, a = 5.64 Å.
HALITE = "AB_cF8_225_a_b:Cl-Na"
FRAC = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
FRAC = torch.tensor(np.concatenate([FRAC, FRAC + 0.5]), dtype=torch.float32)
NUMBERS = torch.tensor([11] * 4 + [17] * 4)
N = 3
ARGUMENTS = argparse.Namespace(
    model_path="/runs/x", tasks=["gen"], step_lr=1e-5, num_evals=1, save_traj=False, label=""
)
FLAT = {
    "frac_coords": FRAC.repeat(N, 1),
    "num_atoms": torch.full((N,), 8),
    "atom_types": NUMBERS.repeat(N),
    "lengths": torch.full((N, 3), 5.64),
    "angles": torch.full((N, 3), 90.0),
}


def as_bits(numbers):
    """FlowMM's analog bits: ± a scale for each bit of Z - 1, the least first; noise is left on them."""
    bits = ((numbers[:, None] - 1) >> torch.arange(7)) % 2
    return (bits * 2.0 - 1) * 0.7


DIFFUSED = {
    "DiffCSP and DiffCSP++, eval_gen.pt": {"eval_setting": ARGUMENTS, **FLAT},
    "SymmCD, eval_gen.pt": {
        "eval_setting": ARGUMENTS,
        **FLAT,
        "spacegroups": torch.full((N,), 225),
        "site_symmetries": torch.zeros(8 * N, 15, 13),
    },
    "CDVAE, eval_gen.pt": {
        "eval_setting": ARGUMENTS,
        **{name: value[None] for name, value in FLAT.items()},
        "all_frac_coords_stack": [],
        "all_atom_types_stack": [],
        "time": 12.5,
    },
    "CDVAE, eval_opt.pt": {**{name: v[None] for name, v in FLAT.items()}, "eval_setting": ARGUMENTS, "time": 1.5},
    "FlowMM, one evaluation": {
        **{name: [value] for name, value in FLAT.items()},
        "lattices": [torch.eye(3).repeat(N, 1, 1) * 5.64],
        "batch_indices": [torch.arange(N)],
    },
    "FlowMM, bits": {**FLAT, "atom_types": as_bits(FLAT["atom_types"]), "eval_setting": None},
    "FlowMM, one of 100": {**FLAT, "atom_types": torch.nn.functional.one_hot(FLAT["atom_types"] - 1, 100).float()},
    "FlowMM, predictions of one process": [[dict(FLAT)]],
}


@pytest.mark.parametrize("name", DIFFUSED)
def test_tensors_of_each_diffusion_model_give_every_structure(tmp_path, name):
    torch.save(DIFFUSED[name], tmp_path / "x.pt")
    found = read_samples(tmp_path / "x.pt")
    assert found.labels == (HALITE,) * N
    assert found.rejected == ()


def test_evaluations_of_unlike_size_are_numbered_on(tmp_path):
    short = {"frac_coords": FRAC, "num_atoms": torch.tensor([8]), "atom_types": torch.tensor([11] * 8)}
    cells = {"lengths": torch.full((1, 3), float("nan")), "angles": torch.full((1, 3), 90.0)}
    torch.save({name: [FLAT[name], {**short, **cells}[name]] for name in FLAT}, tmp_path / "x.pt")
    found = read_samples(tmp_path / "x.pt")
    assert found.labels == (HALITE,) * N
    assert [r.line for r in found.rejected] == [N]


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"atom_types": torch.zeros(8 * N, 30)}, "expected atomic numbers, scores of 100 elements or 7 bits"),
        ({"num_atoms": [torch.full((N,), 8)] * 2, "frac_coords": [FLAT["frac_coords"]] * 2}, "of 2 and "),
        ({"lengths": torch.full((N - 1, 3), 5.64)}, "3 structures by num_atoms, 2 cells"),
    ],
)
def test_tensors_of_another_shape_are_refused_not_guessed(tmp_path, changes, sentence):
    torch.save({**FLAT, **changes}, tmp_path / "x.pt")
    with pytest.raises(DatasetError, match=sentence):
        read_samples(tmp_path / "x.pt")


# torch_geometric pickles a graph as an object with a state, and a batch of graphs as a call of an object.
GRAPHS = """
import sys, types, torch
package, data = types.ModuleType("torch_geometric"), types.ModuleType("torch_geometric.data")
sys.modules |= {"torch_geometric": package, "torch_geometric.data": data}
class Data:
    def __init__(self): self.x = torch.ones(2)
class Getter:
    def __call__(self, *bases): return Batch()
class Batch(Data):
    def __reduce__(self): return Getter(), (Data,), self.__dict__
for made in (Data, Getter, Batch):
    made.__module__ = "torch_geometric.data"
    setattr(data, made.__name__, made)
flat = torch.load("flat.pt")
torch.save({**{k: [v] for k, v in flat.items()}, "input_data_batch": [[Data(), Data()]]}, "consolidated.pt")
torch.save({**flat, "input_data_batch": Batch()}, "IN")
"""


def test_graphs_are_passed_over_and_batches_of_them_refused_with_a_command_that_converts(tmp_path):
    torch.save(FLAT, tmp_path / "flat.pt")
    command = CONVERT.partition('python -c "')[2].rpartition('"')[0]
    subprocess.run([sys.executable, "-c", GRAPHS + command], cwd=tmp_path, check=True)
    assert read_samples(tmp_path / "consolidated.pt").labels == (HALITE,) * N
    with pytest.raises(DatasetError, match="unpickling those can run any code") as refused:
        read_samples(tmp_path / "IN")
    assert command in str(refused.value)
    assert read_samples(tmp_path / "OUT").labels == (HALITE,) * N
    assert not any(name.startswith("torch_geometric") for name in sys.modules)


ROW = {"L": [[5.64] * 3 + [90.0] * 3], "X": [[[0.0] * 3, [0.5] * 3, [0.1] * 3]], "A": [[11, 17, 0]], "W": [[1, 2, 0]]}


def test_samples_of_crystalformer_are_read_from_all_three_of_its_tables(tmp_path):
    pandas = pytest.importorskip("pandas")
    structures = pytest.importorskip("pymatgen.core")
    rows = pandas.DataFrame({**ROW, "M": [[4, 4, 0]]})
    for _ in range(2):  # a second run appends, header and all
        rows.to_csv(tmp_path / "output_225.csv", mode="a", index=False, header=True)
    assert read_samples(tmp_path / "output_225.csv").labels == (HALITE,) * 2
    pandas.DataFrame({"G": [225], **ROW, "M": [[4, 4, 0]], "logp": [-3.5]}).to_csv(tmp_path / "output.csv", index=False)
    assert read_samples(tmp_path / "output.csv").labels == (HALITE,)
    lattice = structures.Lattice.from_parameters(*ROW["L"][0])
    crystal = structures.Structure(lattice, [int(z) for z in NUMBERS], FRAC.double().numpy())
    printed = pandas.DataFrame({"cif": [crystal.as_dict()] * 2})
    for _ in range(2):
        printed.to_csv(tmp_path / "output_225_struct.csv", mode="a", index=False, header=True)
    found = read_samples(tmp_path / "output_225_struct.csv")
    assert found.labels == (HALITE,) * 4
    assert found.rejected == ()


def test_a_printed_structure_is_data_and_never_run(tmp_path):
    good = "{'@module': 'pymatgen.core.structure', 'sites': [], 'lattice': None}"
    lines = ["cif", f'"{good}"', "\"__import__('os').system('touch ran')\"", '"[1, 2]"']
    (tmp_path / "x_struct.csv").write_text("\n".join(lines) + "\n")
    found = read_samples(tmp_path / "x_struct.csv")
    assert found.labels == ()
    assert [r.line for r in found.rejected] == [0, 1, 2]
    assert "not the dictionary of a structure" in found.rejected[1].reason
    assert not (tmp_path / "ran").exists()


def test_genes_of_the_wyckoff_transformer_are_read_as_it_writes_them(tmp_path):
    genes = [{"group": 225, "sites": [["4a"], ["4b"]], "species": ["Na", "Cl"], "numIons": [4, 4]}]
    with gzip.open(tmp_path / "generated.json.gz", "wt") as file:
        json.dump(genes * N, file)
    assert read_samples(tmp_path / "generated.json.gz").labels == (HALITE,) * N


@pytest.fixture
def atoms():
    ase = pytest.importorskip("ase")
    return ase.Atoms(NUMBERS.tolist(), scaled_positions=FRAC.double().numpy(), cell=[5.64] * 3, pbc=True)


def test_chemeleon_s_folder_of_cif_and_its_json_are_read(tmp_path, atoms):
    dumpfn = pytest.importorskip("monty.serialization").dumpfn
    structures = pytest.importorskip("pymatgen.core")
    (tmp_path / "results").mkdir()
    for i in range(N):
        atoms.write(tmp_path / "results" / f"sample_{i}_{atoms.get_chemical_formula()}.cif")
    assert read_samples(tmp_path / "results").labels == (HALITE,) * N
    found = [structures.Structure.from_file(path) for path in (tmp_path / "results").glob("*.cif")]
    dumpfn(found, tmp_path / "generated_structures.json.gz")
    assert read_samples(tmp_path / "generated_structures.json.gz").labels == (HALITE,) * N


def test_mattergen_s_archive_and_its_extxyz_are_read(tmp_path, atoms):
    from ase.io import write

    write(tmp_path / "generated_crystals.extxyz", [atoms] * N)
    with zipfile.ZipFile(tmp_path / "generated_crystals_cif.zip", "w") as archive:
        for i in range(N):
            cif = io.BytesIO()
            write(cif, atoms, format="cif")
            archive.writestr(f"gen_{i}.cif", cif.getvalue())
    for name in ("generated_crystals.extxyz", "generated_crystals_cif.zip"):
        assert read_samples(tmp_path / name).labels == (HALITE,) * N
