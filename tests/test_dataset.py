"""The HDF5 dataset: what is written is read, whole or not at all, and anything else is one sentence."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import few, protostructures

from wyckoffkit.dataset import (
    Rejected,
    parse_split,
    random_split,
    read_dataset,
    read_split,
    statistics,
    write_dataset,
)
from wyckoffkit.dataset.seal import SEAL_LENGTH
from wyckoffkit.elements import ATOMIC_NUMBER
from wyckoffkit.encoding import WyckoffColumns, to_columns
from wyckoffkit.errors import DatasetError
from wyckoffkit.label import parse_label
from wyckoffkit.protostructure import Protostructure
from wyckoffkit.spacegroup import SpaceGroup

# Table 4 of the WyckoffDiff preprint.
LABELS = [
    "AB6C_hR24_166_a_h_b:Cs-F-Sn",
    "A2B6CD_cF40_225_c_e_a_b:Cs-F-Ni-Rb",
    "A6BC_mC16_12_ij_a_d:F-Ti-Zn",
    "A6B3C_mC20_12_ij_ai_d:F-Rb-V",
    "ABC2_hP8_194_a_c_f:Na-Nb-O",
]


def write_example(path: Path, **options: object) -> WyckoffColumns:
    columns = to_columns(map(parse_label, LABELS))
    names = [f"wbm-1-{i}" for i in range(1, 6)]
    write_dataset(path, columns, material_id=names, label=LABELS, **options)  # type: ignore[arg-type]
    return columns


@st.composite
def columns_of_any_groups(draw: st.DrawFn) -> WyckoffColumns:
    """Columns of random groups, random slots of them: in range, though a constrained position may hold too much."""
    n = draw(st.integers(0, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    groups, slots = [], []
    for _ in range(n):
        group = SpaceGroup.from_number(int(rng.integers(1, 231)))
        keys = np.unique(rng.integers(0, len(group.positions), 4) * 256 + rng.integers(1, 101, 4))
        groups.append(group.number)
        slots.append(keys)
    offset = np.cumsum([0, *map(len, slots)])
    keys = np.concatenate([*slots, np.zeros(0, np.int64)]).astype(np.int64)
    count = rng.integers(1, 55, len(keys)).astype(np.uint8)
    return WyckoffColumns(
        np.array(groups, np.uint8),
        offset.astype(np.int64),
        (keys >> 8).astype(np.uint8),
        (keys & 255).astype(np.uint8),
        count,
    )


@few(60)
@given(columns=columns_of_any_groups(), data=st.data())
def test_reading_gives_back_what_was_written(columns: WyckoffColumns, data: st.DataObject) -> None:
    n = len(columns)
    # HDF5's fixed-length text ends at the first NUL.
    text = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=8)
    texts = st.lists(text, min_size=n, max_size=n)
    names, labels = data.draw(texts), data.draw(texts)
    split = np.array(data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)), np.uint8)
    energy = np.array(data.draw(st.lists(st.floats(), min_size=n, max_size=n)), np.float64)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.h5"
        properties = {"e_form_per_atom": energy}
        write_dataset(path, columns, material_id=names, label=labels, split=split, properties=properties)
        found = read_dataset(path)
    assert found.columns == columns
    assert found.material_id.tolist() == names
    assert found.label.tolist() == labels
    assert np.array_equal(found.split, split)
    assert np.array_equal(found.properties["e_form_per_atom"], energy, equal_nan=True)


def test_the_file_carries_its_papers(tmp_path: Path) -> None:
    rejected = Rejected(("wbm-9-9",), ("x.json: entry 7",), ("the cell has no volume",))
    write_example(tmp_path / "x.h5", rejected=rejected, attributes={"licence": "CC BY 4.0", "symprec": 0.1})
    found = read_dataset(tmp_path / "x.h5")
    assert found.rejected == rejected
    assert (found.attributes["n_read"], found.attributes["n_written"], found.attributes["n_rejected"]) == (6, 5, 1)
    assert found.attributes["licence"] == "CC BY 4.0"
    assert (found.profile, found.n_elements, found.max_count) == ("pymatgen", 100, 1)
    with h5py.File(tmp_path / "x.h5") as file:
        assert list(file["split"].attrs["values"]) == ["train", "validation", "test"]


def test_two_writes_are_byte_for_byte_the_same(tmp_path: Path) -> None:
    write_example(tmp_path / "a.h5")
    write_example(tmp_path / "b.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.h5"
    write_example(path)
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DatasetError, match="No space left"):
        write_example(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["x.h5"]


def damage(path: Path, how: str) -> None:
    with h5py.File(path, "a") as file:
        match how:
            case "version":
                file.attrs["format_version"] = 99
            case "format":
                file.attrs["format"] = "something else"
            case "digest":
                file.attrs["positions_digest"] = "0" * 64
            case "column":
                del file["position"]
            case "attribute":
                del file.attrs["profile"]
            case "group":
                file["space_group"][2] = 231
            case "letter":
                file["position"][0] = 200
            case "split":
                file["split"][0] = 7
            case "rows":
                del file["label"]
                file["label"] = np.zeros(3, "S4")


@pytest.mark.parametrize(
    "how, sentence",
    [
        ("version", r"format version 99; this version of wyckoffkit .* reads 1"),
        ("format", "not a wyckoffkit-dataset"),
        ("digest", "other tables of Wyckoff positions"),
        ("column", "lacks position"),
        ("attribute", "lacks the attribute profile"),
        ("group", "material 2 has space group 231"),
        ("letter", "material 0 in group 166 has position 200"),
        ("split", "split holds 7"),
        ("rows", "label has 3 rows, there are 5 materials"),
    ],
)
def test_a_dataset_that_is_not_one_is_refused_in_a_sentence(tmp_path: Path, how: str, sentence: str) -> None:
    path = tmp_path / "x.h5"
    write_example(path)
    damage(path, how)
    with pytest.raises(DatasetError, match=sentence) as caught:
        read_dataset(path)
    assert str(path) in str(caught.value)


def test_a_missing_or_empty_or_foreign_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    for name, content, sentence in [
        ("none.h5", None, "no such file"),
        ("empty.h5", b"", "the file is empty"),
        ("text.h5", b"AB_cF8_225_a_b:Ca-O\n", "not an HDF5 file"),
    ]:
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(DatasetError, match=re.escape(f"{path}: {sentence}")):
            read_dataset(path)
    with pytest.raises(DatasetError, match="a folder"):
        read_dataset(tmp_path)


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    write_example(path)
    whole = path.read_bytes()
    data = len(whole) - SEAL_LENGTH  # a file that lost its seal alone is whole
    for length in range(1, data, max(1, data // 40)):
        path.write_bytes(whole[:length])
        with pytest.raises(DatasetError, match=r"cut off|not an HDF5|damaged"):
            read_dataset(path)


def test_lengths_and_elements_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    columns = to_columns(map(parse_label, LABELS))
    with pytest.raises(DatasetError, match="label has the shape"):
        write_dataset(tmp_path / "x.h5", columns, material_id=["a"] * 5, label=["b"])
    with pytest.raises(DatasetError, match="hold element 55, beyond the 20"):
        write_example(tmp_path / "x.h5", n_elements=20)
    assert not list(tmp_path.iterdir())


@given(n=st.integers(0, 500), seed=st.integers(0, 99), data=st.data())
def test_a_split_by_counts_has_these_counts_and_repeats_by_seed(n: int, seed: int, data: st.DataObject) -> None:
    validation = data.draw(st.integers(0, n))
    test = data.draw(st.integers(0, n - validation))
    split = random_split(n, counts=(validation, test), seed=seed)
    assert np.bincount(split, minlength=3).tolist() == [n - validation - test, validation, test]
    assert np.array_equal(split, random_split(n, counts=(validation, test), seed=seed))


def test_splits_that_cannot_be_are_refused() -> None:
    assert parse_split("0.9,0.05,0.05") == (0.9, 0.05, 0.05)
    for text in ["0.9,0.05", "0.9,0.2,0.05", "a,b,c", "1.1,-0.1,0", ""]:
        with pytest.raises(DatasetError, match="three fractions that sum to 1"):
            parse_split(text)
    with pytest.raises(DatasetError, match="cannot be drawn from 10"):
        random_split(10, counts=(6, 5))


@few(200)
@given(n=st.integers(0, 50), eighths=st.integers(0, 8), data=st.data())
def test_fractions_split_any_number_of_rows_and_are_met_to_within_one(
    n: int, eighths: int, data: st.DataObject
) -> None:
    validation = data.draw(st.integers(0, eighths))
    fractions = (1 - eighths / 8, validation / 8, (eighths - validation) / 8)
    counts = np.bincount(random_split(n, fractions=fractions), minlength=3)
    assert counts.sum() == n
    assert all(abs(count - fraction * n) <= 1 for count, fraction in zip(counts.tolist(), fractions, strict=True))


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_a_split_file_may_have_tabs_or_semicolons(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "split.csv"
    path.write_text(f"material_id{delimiter}split\na{delimiter}train\nb{delimiter}test\n", encoding="utf-8")
    assert read_split(path) == {"a": 0, "b": 2}
    path.write_text(f"material_id{delimiter}split\na{delimiter}train\nb{delimiter}tset\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"split.csv:3: split is train, validation or test, got 'tset'"):
        read_split(path)


@few(40)
@given(materials=st.lists(protostructures(n_elements=100), max_size=12))
def test_statistics_agree_with_the_dense_form(materials: list[Protostructure]) -> None:
    """The dense views are the slow product: every slot of every material, counted."""
    columns = to_columns(materials)
    found = statistics(columns, n_elements=100)
    constrained = np.zeros(101, np.int64)
    unconstrained = np.zeros(found.max_count + 1, np.int64)
    for number in set(columns.space_group.tolist()):
        rows, z0, z_inf = columns.dense(number)
        constrained += np.bincount(z0.ravel(), minlength=101)
        unconstrained += np.bincount(z_inf.ravel(), minlength=found.max_count + 1)
        assert found.space_group[number] == len(rows)
    assert np.array_equal(found.unconstrained, unconstrained)
    assert np.array_equal(found.constrained, constrained)
    assert found.tokens.sum() == len(columns)
    assert (found.tokens * np.arange(found.tokens.shape[1])).sum() == len(columns.element)
    held = Counter(ATOMIC_NUMBER[element] for p in materials for element in p.composition)
    assert {z: n for z, n in enumerate(found.element.tolist()) if n} == held
    positions = [
        (len(g.positions), len(g.constrained), len(g.unconstrained)) for g in (p.space_group for p in materials)
    ]
    assert found.mean_positions == pytest.approx(tuple(np.mean(positions, axis=0)) if positions else (0, 0, 0))


def sealed(path):
    labels = ["AB_cF8_225_a_b:Ca-O", "AB6C_hR24_166_a_h_b:Cs-F-Sn"]
    write_dataset(path, to_columns(map(parse_label, labels)), material_id=["x", "y"], label=labels)
    return path.read_bytes()


def test_a_byte_flipped_anywhere_in_a_dataset_is_noticed_or_without_effect(tmp_path):
    path = tmp_path / "x.h5"
    content = sealed(path)
    right = read_dataset(path).label.tolist()
    for at in range(0, len(content), 97):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :])
        try:
            assert read_dataset(path).label.tolist() == right
            assert at >= len(content) - SEAL_LENGTH  # in the seal's own name
        except DatasetError as error:
            assert "damaged" in str(error) or "HDF5" in str(error)  # noqa: PT017 - either outcome is right


def test_a_dataset_that_another_program_changed_is_read_without_its_seal(tmp_path):
    path = tmp_path / "x.h5"
    sealed(path)
    with h5py.File(path, "r+") as file:
        file.attrs["note"] = "mine"
    assert read_dataset(path).attributes["note"] == "mine"
    assert b"wyckoffkit sha256" not in path.read_bytes()[-SEAL_LENGTH:]


@pytest.mark.parametrize("kind", ["link", "storage"])
def test_a_dataset_whose_data_lie_in_another_file_is_refused(tmp_path, kind):
    path, other = tmp_path / "x.h5", tmp_path / "y.h5"
    sealed(path)
    sealed(other)
    (tmp_path / "secret").write_bytes(b"secret" * 20)
    with h5py.File(path, "r+") as file:
        del file["label"]
        if kind == "link":
            file["label"] = h5py.ExternalLink(str(other), "label")
        else:
            file.create_dataset("label", (2,), "S27", external=[(str(tmp_path / "secret"), 0, 54)])
    with pytest.raises(DatasetError, match="a dataset holds its data itself"):
        read_dataset(path)
