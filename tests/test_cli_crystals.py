"""From labels to crystals by the commands, as a newcomer runs them."""

from __future__ import annotations

import json

from command_line import wyckoffkit
from real_labels import PAPER_LABELS
from realization import COLLAPSING, NO_ROOM


def test_realize_writes_a_cif_for_each_label(tmp_path):
    labels = PAPER_LABELS[:5]
    code, out, err = wyckoffkit("realize", "-", "-o", tmp_path / "out", text="\n".join(labels))
    assert (code, out) == (0, "")
    assert "5 crystals realized, 0 failed" in err
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"trials.jsonl", "realized.xyz", "cif"}
    assert {path.stem for path in (tmp_path / "out" / "cif").iterdir()} == {label.replace(":", "_") for label in labels}


def test_labels_without_a_crystal_are_listed_with_the_reason_and_the_rest_is_done(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("\n".join([PAPER_LABELS[0], COLLAPSING, "AB_cF8_225_a_a:Ca-O", NO_ROOM, PAPER_LABELS[1]]))
    code, _, err = wyckoffkit("realize", path, "-o", tmp_path / "out", "--format", "poscar,json")
    assert code == 1
    assert f"{path}:3: position a of Fm-3m (225) has no free coordinate" in err
    assert f"{COLLAPSING}: collapses: the crystal has the symmetry P-1 (2)" in err
    assert f"{NO_ROOM}: overlap: Cs and Cs come within" in err
    assert "2 crystals realized, 2 failed, 1 no labels" in err
    assert len(list((tmp_path / "out" / "poscar").iterdir())) == len(list((tmp_path / "out" / "json").iterdir())) == 2


def test_realize_goes_on_and_refuses_another_seed(tmp_path):
    out = tmp_path / "out"
    assert wyckoffkit("realize", "-", "-o", out, text=PAPER_LABELS[0])[0] == 0
    assert wyckoffkit("realize", "-", "-o", out, text="\n".join(PAPER_LABELS[:2]))[0] == 0
    rows = [json.loads(line) for line in (out / "trials.jsonl").read_text().splitlines()][1:]
    assert [row["label"] for row in rows] == PAPER_LABELS[:2]
    code, _, err = wyckoffkit("realize", "-", "-o", out, "--seed", "7", text=PAPER_LABELS[0])
    assert code == 1
    assert "begun with seed = 0, now 7" in err


def test_an_unknown_format_or_engine_is_one_sentence(tmp_path):
    for option, value in (("--format", "pdf"), ("--engine", "magic")):
        code, _, err = wyckoffkit("realize", "-", "-o", tmp_path / "out", option, value, text=PAPER_LABELS[0])
        assert code == 1
        assert len(err.splitlines()) == 1
        assert f"{value!r}" in err


def test_a_cluster_without_dask_or_without_an_address_is_one_sentence(tmp_path):
    for command in ("realize", "relax"):
        arguments = ("-", "-o", tmp_path / command, "--scheduler", "nonsense://nowhere")
        extra = ("--calculator", "lj") if command == "relax" else ()
        code, _, err = wyckoffkit(command, *arguments, *extra, text="AB_cF8_225_a_b:Ca-O\n")
        assert code == 1
        assert len(err.splitlines()) == 1
        assert "is not a scheduler's address" in err or "pip install 'wyckoffkit[distributed]'" in err
    (tmp_path / "labels.txt").write_text("AB_cF8_225_a_b:Ca-O\n")
    arguments = (tmp_path / "labels.txt", "-o", tmp_path / "x.h5", "--scheduler", "nonsense://nowhere")
    code, _, err = wyckoffkit("build-dataset", *arguments)
    assert code == 1
    assert "is not a scheduler's address" in err or "pip install 'wyckoffkit[distributed]'" in err
