"""Looking into, checking, merging, exporting and splitting datasets; and the commands that do so."""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
from command_line import wyckoffkit
from real_structures import PATH, real_structures

from wyckoffkit.build import build_dataset
from wyckoffkit.dataset import (
    describe,
    differences,
    export_table,
    faults,
    merge_datasets,
    read_dataset,
    split_by,
    write_dataset,
)
from wyckoffkit.encoding import to_columns
from wyckoffkit.errors import DatasetError
from wyckoffkit.label import parse_label


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "real.h5"
    build_dataset([PATH], path, licence="CC BY 4.0")
    return path


def write_labels(path: Path, rows: dict[str, str], **options: object) -> Path:
    columns = to_columns(map(parse_label, rows.values()))
    write_dataset(path, columns, material_id=list(rows), label=list(rows.values()), **options)  # type: ignore[arg-type]
    return path


def test_info_tells_what_is_in_the_file(real: Path) -> None:
    code, out, _ = wyckoffkit("dataset", "info", real, "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts == describe(read_dataset(real))
    assert facts["n_materials"] == len(real_structures())
    assert facts["attributes"]["licence"] == "CC BY 4.0"
    assert facts["attributes"]["sources"][0]["name"] == PATH.name
    assert facts["splits"] == {"train": len(real_structures()), "validation": 0, "test": 0}


def test_statistics_are_told_as_json(real: Path) -> None:
    code, out, _ = wyckoffkit("dataset", "statistics", real, "--split", "train")
    facts = json.loads(out)
    assert code == 0
    labels = [parse_label(structure.label) for structure in real_structures()]
    assert facts["space_group"] == {
        str(s): n for s, n in sorted(Counter(label.space_group.number for label in labels).items())
    }
    assert facts["element"] == Counter(element for label in labels for element in label.composition)
    assert facts["tokens"] == {
        str(n): count for n, count in sorted(Counter(len(set(label.orbits)) for label in labels).items())
    }
    assert sum(facts["constrained_marginal"]) == pytest.approx(1)
    assert sum(facts["unconstrained_marginal"]) == pytest.approx(1)
    assert len(facts["unconstrained_marginal"]) == facts["max_count"] + 1
    assert wyckoffkit("dataset", "statistics", real, "--split", "all")[0] == 2


def test_verify_finds_what_does_not_hold(real: Path, tmp_path: Path) -> None:
    assert faults(read_dataset(real)) == []
    broken = write_labels(
        tmp_path / "x.h5",
        {"a": "AB_cF8_225_a_b:Ca-O", "b": "AB_cF8_225_a_b:Cl-Na", "c": "AB_cF8_225_b_a:Ca-O"},
        attributes={"n_written": 7},
    )
    with h5py.File(broken, "a") as file:
        file["element"][0] = 12
        file["material_id"][1] = b"a"
    code, _, err = wyckoffkit("dataset", "verify", broken)
    assert code == 1
    for sentence in (
        "1 material ids stand more than once, 'a' among them",
        "the attribute n_written is 7, the file holds 3",
        "row 0 (a): the columns hold AB_cF8_225_a_b:Mg-O, the label is AB_cF8_225_a_b:Ca-O",
        "row 2 (c): AB_cF8_225_b_a:Ca-O is not canonical under the profile pymatgen",
    ):
        assert sentence in err


def test_merging_keeps_rows_once_and_provenance(real: Path, tmp_path: Path) -> None:
    rows = {"x-1": "AB_cF8_225_a_b:Ca-O", real_structures()[0].material_id: real_structures()[0].label}
    other = write_labels(tmp_path / "other.h5", rows, properties={"band_gap": [1.0, 2.0]}, split=[2, 0])
    code, _, err = wyckoffkit("dataset", "merge", real, other, "-o", tmp_path / "m.h5")
    assert (code, "1 repeated materials left out" in err) == (0, True)
    found = read_dataset(tmp_path / "m.h5")
    assert found.material_id.tolist() == [*(r.material_id for r in real_structures()), "x-1"]
    assert found.label[-1] == "AB_cF8_225_a_b:Ca-O"
    assert (found.split[-1], found.properties["band_gap"][-1]) == (2, 1.0)
    assert np.isnan(found.properties["band_gap"][:-1]).all()
    assert [m["name"] for m in json.loads(found.attributes["merged_from"])] == [str(real), str(other)]
    assert faults(found) == []


def test_a_dataset_is_appended_to_in_place_and_keeps_its_provenance(tmp_path: Path) -> None:
    path = write_labels(tmp_path / "x.h5", {"a": "AB_cF8_225_a_b:Ca-O"}, attributes={"licence": "CC BY 4.0"})
    for name in ("b", "c"):
        more = write_labels(tmp_path / f"{name}.h5", {name: "AB_cF8_225_a_b:Cl-Na"}, attributes={"licence": "MIT"})
        assert wyckoffkit("dataset", "merge", path, more, "-o", path)[0] == 0
    found = read_dataset(path)
    assert found.material_id.tolist() == ["a", "b", "c"]
    before, last = json.loads(found.attributes["merged_from"])
    assert (last["name"], last["licence"]) == (str(tmp_path / "c.h5"), "MIT")
    assert [root["licence"] for root in json.loads(before["merged_from"])] == ["CC BY 4.0", "MIT"]
    assert faults(found) == []


def test_datasets_that_contradict_each_other_are_not_merged(tmp_path: Path) -> None:
    a = read_dataset(write_labels(tmp_path / "a.h5", {"x": "AB_cF8_225_a_b:Ca-O"}))
    b = read_dataset(write_labels(tmp_path / "b.h5", {"x": "AB_cF8_225_a_b:Cl-Na"}))
    with pytest.raises(DatasetError, match="x is AB_cF8_225_a_b:Cl-Na here and AB_cF8_225_a_b:Ca-O"):
        merge_datasets({"a": a, "b": b}, tmp_path / "m.h5")
    c = read_dataset(write_labels(tmp_path / "c.h5", {"y": "AB_cF8_225_a_b:Cl-Na"}, profile="affine"))
    with pytest.raises(DatasetError, match=r"different profiles \(affine, pymatgen\)"):
        merge_datasets({"a": a, "c": c}, tmp_path / "m.h5")
    assert merge_datasets({"a": a, "c": c}, tmp_path / "m.h5", profile="affine") == 0
    assert read_dataset(tmp_path / "m.h5").profile == "affine"


def test_an_export_is_read_back_as_the_same_dataset(real: Path, tmp_path: Path) -> None:
    code, out, _ = wyckoffkit("dataset", "export", real)
    (tmp_path / "x.csv").write_text(out)
    build_dataset([tmp_path / "x.csv"], tmp_path / "x.h5")
    a, b = read_dataset(real), read_dataset(tmp_path / "x.h5")
    assert code == 0
    assert (a.columns, a.material_id.tolist(), a.label.tolist()) == (
        b.columns,
        b.material_id.tolist(),
        b.label.tolist(),
    )
    assert wyckoffkit("dataset", "export", real, "-o", tmp_path / "x.jsonl")[0] == 0
    lines = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    with open(tmp_path / "x.csv", newline="") as file:
        assert lines == [{k: v or None for k, v in row.items()} for row in csv.DictReader(file)]
    build_dataset([tmp_path / "x.jsonl"], tmp_path / "y.h5")
    c = read_dataset(tmp_path / "y.h5")
    assert (a.columns, a.material_id.tolist()) == (c.columns, c.material_id.tolist())
    assert wyckoffkit("dataset", "export", real, "-o", tmp_path / "x.txt")[0] == 2


def test_two_datasets_are_compared_by_cause(tmp_path: Path) -> None:
    first = {
        "same": "AB_cF8_225_a_b:Ca-O",
        "setting": "AB_cF8_225_a_b:Ca-O",
        "composition": "AB_cF8_225_a_b:Ca-O",
        "positions": "AB2_hP3_164_a_d:Cd-I",
        "more": "AB3_cP4_221_a_d:N-Re",
        "less": "AB_oP2_47_a_b:Ca-O",
        "as much": "AB_oP2_47_a_b:Ca-O",
        "gone": "AB_cF8_225_a_b:Ca-O",
    }
    second = {
        "new": "AB_cF8_225_a_b:Ca-O",
        "same": "AB_cF8_225_a_b:Ca-O",
        "setting": "AB_cF8_225_b_a:Ca-O",
        "composition": "AB_cF8_225_a_b:Cl-Na",
        "positions": "AB2_hP3_164_b_c:Cd-I",
        "more": "AB3_tP4_123_a_ce:N-Re",
        "less": "AB_tP2_123_a_b:Ca-O",
        "as much": "AB_oC4_65_a_b:Ca-O",
    }
    a = write_labels(tmp_path / "a.h5", first)
    b = write_labels(tmp_path / "b.h5", second)
    found = {d.material_id: d.cause for d in differences(read_dataset(a), read_dataset(b))}
    assert found == {
        "gone": "only in the first",
        "new": "only in the second",
        "composition": "another composition",
        "setting": "an equivalent setting",
        "positions": "the same space group, other positions",
        "more": "more symmetry in the first",
        "less": "more symmetry in the second",
        "as much": "another space group, as much symmetry",
    }
    code, out, _ = wyckoffkit("dataset", "compare", a, b, "--json", "-o", tmp_path / "x.csv")
    assert (code, json.loads(out)["equal"]) == (1, 1)
    assert sum(json.loads(out).values()) == len({*first, *second})
    with open(tmp_path / "x.csv", newline="") as file:
        assert {row["material_id"]: row["cause"] for row in csv.DictReader(file)} == found
    code, out, _ = wyckoffkit("dataset", "compare", a, a, "--json")
    assert (code, json.loads(out)["equal"]) == (0, 8)


def with_unknown_energies(path: Path) -> Path:
    rows = {"a": "AB_cF8_225_a_b:Ca-O", "b": "AB_cF8_225_a_b:Cl-Na"}
    properties = {"e_form_per_atom": [-3.2, np.nan]}
    return write_labels(path, rows, properties=properties, split=[0, 2], attributes={"licence": "CC BY 4.0"})


def test_parquet_holds_rows_units_and_papers(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    source = with_unknown_energies(tmp_path / "x.h5")
    assert wyckoffkit("dataset", "export", source, "-o", tmp_path / "x.parquet")[0] == 0
    table = parquet.read_table(tmp_path / "x.parquet")
    assert table.to_pylist() == [
        {"material_id": "a", "label": "AB_cF8_225_a_b:Ca-O", "split": "train", "e_form_per_atom": -3.2},
        {"material_id": "b", "label": "AB_cF8_225_a_b:Cl-Na", "split": "test", "e_form_per_atom": None},
    ]
    assert table.schema.field("e_form_per_atom").metadata == {b"units": b"eV/atom"}
    assert json.loads(table.schema.metadata[b"wyckoffkit"])["licence"] == "CC BY 4.0"


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    source = with_unknown_energies(tmp_path / "x.h5")
    with pytest.raises(DatasetError, match=r"pip install 'wyckoffkit\[parquet\]'"):
        export_table(read_dataset(source), tmp_path / "x.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["x.h5"]


def test_an_export_gets_its_name_when_it_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = read_dataset(with_unknown_energies(tmp_path / "x.h5"))
    export_table(data, tmp_path / "x.csv")
    before = (tmp_path / "x.csv").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("wyckoffkit.dataset.export.export_csv", full)
    with pytest.raises(DatasetError, match=r"x\.csv: cannot be written: No space left on device"):
        export_table(data, tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.csv", "x.h5"]
    with pytest.raises(DatasetError, match=r"tables are written as \.csv, \.jsonl, \.parquet, got '\.xls'"):
        export_table(data, tmp_path / "x.xls")


@pytest.mark.parametrize("key", ["prototype", "chemical-system", "formula", "space-group"])
def test_no_key_crosses_a_split_by_it(real: Path, key: str) -> None:
    data = read_dataset(real)
    split = split_by(data, key, counts=(10, 10), seed=1)
    parts = [set(), set(), set()]  # type: ignore[var-annotated]
    for i, side in enumerate(split.tolist()):
        p = parse_label(str(data.label[i]))
        value = {
            "prototype": str(p.prototype()),
            "chemical-system": "-".join(p.composition),
            "formula": str(p).partition("_")[0] + "-".join(p.composition),
            "space-group": str(p.space_group.number),
        }[key]
        parts[side].add(value)
    assert len(parts[0] | parts[1] | parts[2]) == sum(map(len, parts))
    assert (split == 1).sum() >= 10
    assert (split == 2).sum() >= 10


@pytest.mark.parametrize("counts, empty", [((0, 10), 1), ((10, 0), 2)])
def test_a_side_that_no_row_is_asked_of_stays_empty(real: Path, counts: tuple[int, int], empty: int) -> None:
    split = split_by(read_dataset(real), "prototype", counts=counts, seed=1)
    assert (split == empty).sum() == 0
    assert (split == 3 - empty).sum() >= 10


def test_splits_are_drawn_by_the_command(real: Path, tmp_path: Path) -> None:
    output = tmp_path / "x.h5"
    assert wyckoffkit("dataset", "split", real, "-o", output, "--counts", "5,3", "--seed", 2)[0] == 0
    found = read_dataset(output)
    assert np.bincount(found.split).tolist() == [len(found) - 8, 5, 3]
    assert found.columns == read_dataset(real).columns
    assert wyckoffkit("dataset", "split", real, "-o", output, "--test-ids", "wbm-5-")[0] == 0
    found = read_dataset(output)
    step_5 = [name for name in found.material_id.tolist() if name.startswith("wbm-5-")]
    assert found.material_id[found.split == 2].tolist() == step_5 != []
    code, _, err = wyckoffkit("dataset", "split", real, "-o", output, "--counts", "5000,3", "--by", "prototype")
    assert (code, "cannot be drawn" in err) == (1, True)
    assert wyckoffkit("dataset", "split", real, "-o", output)[0] == 2


def test_build_dataset_and_label_report_bad_rows_and_exit_1(tmp_path: Path) -> None:
    source = tmp_path / "x.jsonl"
    lines = PATH.read_text().splitlines()[:3]
    source.write_text("\n".join([lines[0], '{"material_id": "bad", "structure": {}}', *lines[1:]]))
    code, _, err = wyckoffkit("build-dataset", source, "-o", tmp_path / "x.h5", "--workers", 1)
    assert code == 1
    assert f"{source}: document 2: bad: the entry holds no structure" in " ".join(err.split())
    assert "3 materials, 1 rejected" in err
    assert len(read_dataset(tmp_path / "x.h5")) == 3
    code, out, err = wyckoffkit("label", source)
    assert (code, out.splitlines()) == (1, [real.label for real in real_structures()[:3]])
    assert "labelled 3, rejected 1" in err
    code, out, _ = wyckoffkit("label", PATH, "--sweep", "--json")
    first = json.loads(out.splitlines()[0])
    known = real_structures()[0]
    assert (code, first["material_id"], first["flips"][-1]["label"]) == (0, known.material_id, known.label)
    assert wyckoffkit("label", PATH, "--engine", "cctbx")[0] == 1
    assert wyckoffkit("build-dataset", tmp_path / "none.json", "-o", tmp_path / "y.h5")[0] == 1
