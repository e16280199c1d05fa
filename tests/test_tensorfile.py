"""Files of tensors: made and read block by block, and equal to what is made at once."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import few, protostructures

from wyckoffkit import DatasetError, format_label, spool, tensorfile
from wyckoffkit.dataset import faults, read_dataset, stream, write_dataset
from wyckoffkit.encoding import to_columns
from wyckoffkit.tensorfile import read_tensors, write_tensors


@pytest.fixture(autouse=True, scope="module")
def small_blocks():
    """Blocks of a few materials, so that a dozen of them make several."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (spool, stream, tensorfile):
            patch.setattr(module, "BLOCK", 3)
        patch.setattr(tensorfile, "_CHUNK", 2)
        yield


@few(25)
@given(materials=st.lists(protostructures(n_elements=100), max_size=8), suffix=st.sampled_from(["h5", "npz", "jsonl"]))
def test_reading_gives_back_what_was_written(materials, suffix):
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"x.{suffix}"
        write_tensors([(format_label(p), p) for p in materials], path, n_elements=100)
        if materials or suffix != "jsonl":
            assert [make() for _, make in read_tensors(path)] == materials
        assert [p.name for p in path.parent.iterdir()] == [path.name]


@few(25)
@given(materials=st.lists(protostructures(n_elements=100), max_size=8))
def test_a_dataset_made_in_blocks_is_the_one_made_at_once(materials):
    with TemporaryDirectory() as folder:
        check_blocks_against_once(Path(folder), materials)


def check_blocks_against_once(folder, materials):
    canonical = [p.canonical() for p in materials]
    labels = [format_label(p) for p in canonical]
    write_tensors(zip(labels, canonical, strict=True), folder / "blocks.h5", n_elements=100)
    names = [str(i) for i in range(len(materials))]
    write_dataset(folder / "once.h5", to_columns(canonical), material_id=names, label=labels, n_elements=100)
    with h5py.File(folder / "blocks.h5") as blocks, h5py.File(folder / "once.h5") as once:
        assert dict(blocks.attrs) == dict(once.attrs)
        assert set(blocks) == set(once)
        for name in set(blocks) - {"rejected"}:
            assert blocks[name].shape == once[name].shape
            assert (blocks[name][...] == once[name][...]).all()
            assert not len(materials) or blocks[name].dtype == once[name].dtype
    assert faults(read_dataset(folder / "blocks.h5")) == []


def npz(path, **changed):
    """Two materials as `encode` writes them, some columns changed."""
    columns = {
        "space_group": np.array([225, 1], np.uint8),
        "offset": np.array([0, 2, 3]),
        "position": np.array([0, 1, 0], np.uint8),
        "element": np.array([11, 17, 1], np.uint8),
        "count": np.array([1, 1, 2], np.uint8),
    }
    np.savez_compressed(path, format=1, n_elements=100, **columns | changed)
    return path


def test_an_npz_that_numpy_wrote_is_read(tmp_path):
    found = [format_label(make()) for _, make in read_tensors(npz(tmp_path / "x.npz"))]
    assert found == ["AB_cF8_225_b_a:Cl-Na", "A_aP2_1_2a:H"]


@pytest.mark.parametrize(
    "changed, sentence",
    [
        ({"offset": np.array([0, 3])}, "different lengths"),
        ({"count": np.array([1, 1], np.uint8)}, "different lengths"),
        ({"offset": np.array([0, 2, 9])}, "offsets must rise from 0 to 3"),
        ({"offset": np.array([0, 2, 1])}, "offsets must rise from 0 to 3"),
        ({"offset": np.array([1, 2, 3])}, "offsets must rise from 0 to 3"),
        ({"offset": np.array([0, 1, 2])}, "offsets must rise from 0 to 3"),
        ({"space_group": np.array([225, 231], np.uint8)}, "space group 231"),
        ({"position": np.array([0, 12, 0], np.uint8)}, "position 12"),
        ({"space_group": np.array([[225, 1]], np.uint8)}, "damaged or not an npz file"),
        ({"count": np.array([None, 1, 2])}, "damaged or not an npz file"),
        ({"format": 2}, "npz format 2, this version reads 1"),
    ],
)
def test_an_npz_that_fits_no_table_is_refused_in_a_sentence(tmp_path, changed, sentence):
    path = npz(tmp_path / "x.npz", **{k: v for k, v in changed.items() if k != "format"})
    if "format" in changed:
        np.savez(path, format=2, **dict.fromkeys(("space_group", "offset", "position", "element", "count"), 0))
    with pytest.raises(DatasetError, match=sentence):
        list(read_tensors(path))


def test_a_cut_off_dataset_is_refused_while_it_is_read(tmp_path):
    path = tmp_path / "x.h5"
    p = next(make() for _, make in read_tensors(npz(tmp_path / "x.npz")))
    write_tensors([(format_label(p), p)] * 10, path, n_elements=100)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DatasetError, match=r"cut off|damaged"):
        list(read_tensors(path))
