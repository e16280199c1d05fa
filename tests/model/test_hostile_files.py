"""No file that is read can run code: what would be run says so by writing a file, and never does."""

from __future__ import annotations

import ast
import json
import os
import pickle
import sys
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from real_structures import real_structures

from reference_model.checkpoint import read_checkpoint
from reference_model.evaluate.samples import read_samples
from reference_model.extractor.weights import read_extractor
from wyckoffkit import WyckoffkitError
from wyckoffkit.dataset import read_dataset
from wyckoffkit.hull import read_references
from wyckoffkit.sources import Source, read_entry
from wyckoffkit.tensorfile import read_tensors


class Bomb:
    """Unpickled, it writes a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self):
        return os.system, (f"touch {self.canary}",)


def as_torch(path, bomb):
    torch.save({"state_dict": {"x": torch.zeros(1)}, "frac_coords": bomb, "model_params": bomb}, path)


def as_old_torch(path, bomb):
    torch.save({"state_dict": bomb}, path, _use_new_zipfile_serialization=False)


def as_pickle(path, bomb):
    path.write_bytes(pickle.dumps(bomb))


def as_npz(path, bomb):
    np.savez(path.open("wb"), format=np.array([bomb], dtype=object), space_group=np.array([bomb], dtype=object))


def as_npy(path, bomb):
    np.save(path.open("wb"), np.array([bomb], dtype=object), allow_pickle=True)


def as_zip(path, bomb):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("generated/data.pkl", pickle.dumps(bomb))
        archive.writestr("../../escaped.cif", "data_x\n")


def every_entry(path):
    return [read_entry(entry, "org") for entry in Source(path).entries()]


WRITERS = {
    "torch.pt": as_torch,
    "old.pth": as_old_torch,
    "plain.pkl": as_pickle,
    "arrays.npz": as_npz,
    "array.npy": as_npy,
    "folder.zip": as_zip,
}
READERS = {
    "samples": read_samples,
    "extractor": read_extractor,
    "checkpoint": read_checkpoint,
    "tensors": lambda path: list(read_tensors(path)),
    "dataset": read_dataset,
    "sources": every_entry,
    "hull": read_references,
}


@pytest.mark.filterwarnings("ignore:unclosed file")
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("file", WRITERS)
def test_a_pickle_is_refused_and_not_run(tmp_path, file, reader):
    path, canary = tmp_path / file, tmp_path / "canary"
    WRITERS[file](path, Bomb(canary))
    try:
        found = READERS[reader](path)
    except WyckoffkitError:
        found = None
    if found is not None:
        assert reader == "samples"  # which counts what it cannot read
        assert not found.labels
    assert not canary.exists()
    assert not (tmp_path.parent / "escaped.cif").exists()


def test_the_bomb_goes_off_where_it_is_unpickled(tmp_path):
    as_pickle(tmp_path / "x", Bomb(tmp_path / "canary"))
    pickle.loads((tmp_path / "x").read_bytes())
    assert (tmp_path / "canary").exists()


def hostile_json(module):
    """A structure and an entry in pymatgen's JSON, which says what to import at every place that can say it."""
    import copy

    told = {"@module": module, "@class": "Canary", "@version": "1"}
    structure = copy.deepcopy(real_structures()[0].structure)
    structure["properties"] = told
    for site in structure["sites"]:
        site["properties"] = {"magmom": told}
    structure["lattice"] |= told
    return {
        "@module": module, "@class": "Canary", "structure": structure, "composition": {"Na": 1}, "energy": -1.3,
        "entry_id": "x", "correction": 0.0, "parameters": {"run_type": told}, "data": told,
        "energy_adjustments": [told],
    }  # fmt: skip


@pytest.mark.parametrize("reader", ["sources", "hull", "samples"])
def test_json_that_names_a_module_does_not_have_it_imported(tmp_path, reader):
    (tmp_path / "canary_module.py").write_text(f"open({str(tmp_path / 'canary')!r}, 'w').close()\n")
    path = tmp_path / "x.json"
    path.write_text(json.dumps([hostile_json("canary_module")]))
    sys.path.insert(0, str(tmp_path))
    try:
        with suppress(WyckoffkitError):
            READERS[reader](path)
    finally:
        sys.path.remove(str(tmp_path))
    assert not (tmp_path / "canary").exists()


def unsafe_calls(source):
    """Lines that would unpickle, or let a file name what is built."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            told = {k.arg: k.value.value for k in node.keywords if isinstance(k.value, ast.Constant)}
            name = ast.unparse(node.func)
            written = bool(node.args) and isinstance(node.args[0], ast.Constant)
            risky = name in {"pickle.load", "pickle.loads"} or name.startswith(("joblib.", "yaml."))
            risky = risky or (name in {"eval", "exec"} and not written)
            if risky or told.get("weights_only") is False or told.get("allow_pickle") is True or "MontyDecoder" in name:
                yield node.lineno


def test_no_module_of_ours_unpickles_anything():
    root = Path(__file__).parents[2]
    for folder in ("wyckoffkit", "reference_model", "cli"):
        for path in (root / folder).rglob("*.py"):
            assert not list(unsafe_calls(path.read_text(encoding="utf-8"))), path
    hostile = "x = 1\ntorch.load(f, weights_only=False)\npickle.loads(b)\neval(text)\neval('None')"
    assert list(unsafe_calls(hostile)) == [2, 3, 4]
