"""Building: ordered whatever the workers, resumable whatever the interruption; nothing lost, nothing half."""

from __future__ import annotations

import bz2
import errno
import json
import multiprocessing
import os
import random
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from breaking_labour import labour
from command_line import TOOL
from real_structures import PATH, real_structures

from wyckoffkit.build import BuildOptions, Progress, Split, build_dataset
from wyckoffkit.build.attach import read_properties
from wyckoffkit.build.build import _chunks
from wyckoffkit.build.pool import run
from wyckoffkit.build.work import Shard
from wyckoffkit.dataset import faults, read_dataset
from wyckoffkit.errors import DatasetError, SymmetryError, WyckoffkitError
from wyckoffkit.label import parse_label
from wyckoffkit.sources import Entry

LABELS = ["AB_cF8_225_a_b:Ca-O", "AB_cF8_225_a_b:Cl-Na", "A3B_hR24_167_e_b:F-Ga"]


def wbm_file(path: Path, copies: int = 1, broken: int | None = None) -> Path:
    """Real structures in the authors' layout, again and again; one of them malformed."""
    parts = []
    for i, real in enumerate(real_structures() * copies):
        structure = json.dumps(real.structure)
        text = f'"step_1_{i}": {{"org": {structure}, "opt": {structure}}}'
        parts.append(text[:-1] if i == broken else text)
    path.write_bytes(bz2.compress(("{" + ", ".join(parts) + "}").encode()))
    return path


def test_real_structures_get_their_labels(tmp_path: Path) -> None:
    outcome = build_dataset([PATH], tmp_path / "x.h5")
    found = read_dataset(tmp_path / "x.h5")
    assert (outcome.n_written, outcome.n_rejected, outcome.problems) == (len(real_structures()), 0, ())
    assert found.material_id.tolist() == [real.material_id for real in real_structures()]
    assert found.label.tolist() == [real.label for real in real_structures()]
    assert [str(p) for p in found.columns] == found.label.tolist()
    assert os.listdir(tmp_path) == ["x.h5"]


def test_the_file_names_its_sources_engine_and_tolerance(tmp_path: Path) -> None:
    source = wbm_file(tmp_path / "wbm.json.bz2")
    build_dataset([source], tmp_path / "x.h5", licence="CC BY 4.0")
    root = read_dataset(tmp_path / "x.h5").attributes
    assert (root["engine"], root["symprec"], root["structure"], root["licence"]) == ("moyopy", 0.1, "org", "CC BY 4.0")
    (named,) = json.loads(root["sources"])
    sha256 = subprocess.run(["sha256sum", source], capture_output=True, text=True, check=True).stdout.split()[0]
    assert named == {"name": "wbm.json.bz2", "sha256": sha256, "bytes": source.stat().st_size, "kind": "json"}


def test_the_structure_asked_for_is_the_one_that_is_labelled(tmp_path: Path) -> None:
    before, after = real_structures()[:2]
    source = tmp_path / "x.json"
    source.write_text(json.dumps({"step_1_0": {"org": before.structure, "opt": after.structure}}))
    for structure, due in (("org", before), ("opt", after)):
        build_dataset([source], tmp_path / "x.h5", options=BuildOptions(structure=structure))
        assert read_dataset(tmp_path / "x.h5").label.tolist() == [due.label]


def test_labels_are_found_by_the_engine_and_written_under_the_profile_asked_for(tmp_path: Path) -> None:
    build_dataset([PATH], tmp_path / "x.h5", options=BuildOptions(engine="spglib", profile="affine"))
    found = read_dataset(tmp_path / "x.h5")
    assert (found.attributes["engine"], found.profile) == ("spglib", "affine")
    due = [str(parse_label(real.label).canonical("affine")) for real in real_structures()]
    differ = [real.material_id for real, a, b in zip(real_structures(), found.label, due, strict=True) if a != b]
    assert differ == ["wbm-3-31038"]  # as far from symmetry as the tolerance allows: see test_symmetry.py
    assert faults(found) == []


def test_the_result_does_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    source = wbm_file(tmp_path / "wbm.json.bz2", copies=20, broken=30)
    for workers in (0, 1, 3):
        build_dataset([source], tmp_path / f"{workers}.h5", workers=workers)
    files = [(tmp_path / f"{workers}.h5").read_bytes() for workers in (0, 1, 3)]
    assert files[0] == files[1] == files[2]


def test_good_rows_are_written_and_bad_ones_kept_with_their_reason(tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join([LABELS[0], "AB_cF8_225_a_a:Ca-O", LABELS[1]]) + "\n")
    source = wbm_file(tmp_path / "wbm.json.bz2", broken=3)
    outcome = build_dataset([labels, tmp_path / "missing.json", source], tmp_path / "x.h5")
    found = read_dataset(tmp_path / "x.h5")
    assert len(found) == outcome.n_written == 2 + len(real_structures()) - 1
    assert found.rejected == outcome.rejected
    assert found.rejected.material_id == ("labels-2", "wbm-1-4")
    assert found.rejected.place == (f"{labels}:2", f"{source}: step_1_3")
    assert "no free coordinate" in found.rejected.reason[0]
    assert found.rejected.reason[1] == "not closed before the next entry begins"
    assert outcome.problems == (f"{tmp_path / 'missing.json'}: no such file",)


def test_a_cut_off_file_gives_its_whole_entries_and_a_problem(tmp_path: Path) -> None:
    source = wbm_file(tmp_path / "wbm.json.bz2", copies=20)
    source.write_bytes(source.read_bytes()[:-100])
    outcome = build_dataset([source], tmp_path / "x.h5")
    labels = [real.label for real in real_structures()] * 20
    assert 0 < outcome.n_written < len(labels)
    assert read_dataset(tmp_path / "x.h5").label.tolist() == labels[: outcome.n_written]
    assert "cut off bzip2 data" in outcome.problems[0]


def test_nothing_readable_is_an_error_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such file"):
        build_dataset([tmp_path / "missing.json"], tmp_path / "x.h5")
    with pytest.raises(DatasetError, match="no sources"):
        build_dataset([], tmp_path / "x.h5")
    assert not list(tmp_path.iterdir())


def test_an_output_in_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be made"):
        build_dataset([PATH], tmp_path / "none" / "x.h5")


@contextmanager
def files_of_at_most(n: int) -> Iterator[None]:
    """As on a disk that is full: no file grows beyond n bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room, written", [(4_000, "partial/000000-"), (14_000, "x.h5: ")])
def test_a_full_disk_is_an_error_after_which_the_same_command_goes_on(tmp_path: Path, room: int, written: str) -> None:
    """First where a shard is written, then where the file itself is, which is larger."""
    build_dataset([PATH], tmp_path / "whole.h5")
    with files_of_at_most(room), pytest.raises(DatasetError, match=r"cannot be written: (?i:file too large)") as caught:
        build_dataset([PATH], tmp_path / "x.h5")
    assert written in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["whole.h5", "x.h5.partial"]
    build_dataset([PATH], tmp_path / "x.h5")
    assert (tmp_path / "x.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


def test_a_build_that_stopped_goes_on_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    source = wbm_file(tmp_path / "wbm.json.bz2", copies=40)
    build_dataset([source], tmp_path / "whole.h5")

    class Stop(Exception):
        pass

    def stop_at_second(progress: Progress) -> None:
        if progress.done > 600:
            raise Stop

    with pytest.raises(Stop):
        build_dataset([source], tmp_path / "x.h5", progress=stop_at_second)
    assert not (tmp_path / "x.h5").exists()
    seen: list[int] = []
    build_dataset([source], tmp_path / "x.h5", progress=lambda p: seen.append(p.resumed))
    assert seen[0] == 512
    assert (tmp_path / "x.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()
    assert not (tmp_path / "x.h5.partial").exists()


def test_shards_of_other_options_or_contents_are_not_taken_for_this_build(tmp_path: Path) -> None:
    source = wbm_file(tmp_path / "wbm.json.bz2")

    def stop(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_dataset([source], tmp_path / "x.h5", progress=stop)
    assert len(list((tmp_path / "x.h5.partial").glob("*.npz"))) == 1
    seen: list[int] = []
    build_dataset(
        [source], tmp_path / "x.h5", options=BuildOptions(symprec=0.01), progress=lambda p: seen.append(p.resumed)
    )
    assert seen == [0]


def test_two_builds_of_one_output_exclude_each_other(tmp_path: Path) -> None:
    def build_again(_: Progress) -> None:
        with pytest.raises(WyckoffkitError, match="another process is writing it"):
            build_dataset([PATH], tmp_path / "x.h5")

    build_dataset([PATH], tmp_path / "x.h5", progress=build_again)


def test_splits_are_drawn_by_seed_or_by_material_id(tmp_path: Path) -> None:
    build_dataset([PATH], tmp_path / "a.h5", split=Split(counts=(10, 5), seed=3))
    assert np.bincount(read_dataset(tmp_path / "a.h5").split).tolist() == [len(real_structures()) - 15, 10, 5]
    names = [real.material_id for real in real_structures()]
    build_dataset([PATH], tmp_path / "b.h5", split=Split(by_id={names[7]: 2, names[1]: 1}))
    found = read_dataset(tmp_path / "b.h5")
    assert found.material_id[found.indices("test")].tolist() == [names[7]]
    assert found.material_id[found.indices("validation")].tolist() == [names[1]]
    with pytest.raises(DatasetError, match="1 unknown material ids, 'wbm-0-0' among them"):
        build_dataset([PATH], tmp_path / "c.h5", split=Split(by_id={"wbm-0-0": 2}))


def test_options_that_cannot_be_are_refused() -> None:
    with pytest.raises(SymmetryError, match="the engines are moyopy and spglib"):
        BuildOptions(engine="cctbx")
    with pytest.raises(SymmetryError, match="symprec is a length above 0"):
        BuildOptions(symprec=-1)
    with pytest.raises(SymmetryError, match="up to 1°"):
        BuildOptions(angle_tolerance=5)
    with pytest.raises(DatasetError, match=r"org .* and opt"):
        BuildOptions(structure="relaxed")


def test_an_entry_that_kills_or_hangs_its_worker_is_rejected_and_the_rest_goes_on() -> None:
    names = ["a", "segfault", "b", "hang", "c", "exit", "d"]
    entries = [Entry(name, f"x: {name}", "label", LABELS[0].encode()) for name in names]
    done = dict(run(iter([(0, entries), (1, entries[:1])]), BuildOptions(), 2, 3.0, labour))
    shard = Shard.from_bytes(done[0])
    assert [text.decode() for text in shard.texts["material_id"]] == ["a", "b", "c", "d"]
    reasons = {
        a.decode(): b.decode() for a, b in zip(*(shard.texts[f"rejected_{k}"] for k in ("id", "reason")), strict=True)
    }
    assert reasons == {
        "segfault": "the worker process died on this entry, twice (SIGSEGV)",
        "hang": "not finished within 3 s, twice",
        "exit": "the worker process died on this entry, twice (exit code 3)",
    }
    assert len(Shard.from_bytes(done[1]).columns) == 1


def test_a_worker_that_somebody_else_kills_costs_no_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine out of memory, say: an entry is rejected where two workers die on it, not one."""
    monkeypatch.setattr("wyckoffkit.build.build.CHUNK_ENTRIES", 64)
    source = wbm_file(tmp_path / "wbm.json.bz2", copies=8)
    build_dataset([source], tmp_path / "whole.h5")
    killed: list[int] = []

    def kill_a_worker(_: Progress) -> None:
        for worker in multiprocessing.active_children()[: 0 if killed else 1]:
            os.kill(worker.pid or 0, signal.SIGKILL)
            killed.append(worker.pid or 0)

    outcome = build_dataset([source], tmp_path / "x.h5", workers=2, progress=kill_a_worker)
    assert killed
    assert outcome.n_rejected == 0
    assert (tmp_path / "x.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


def test_chunks_are_bounded_in_entries_and_bytes() -> None:
    entries = [Entry(str(i), "", "label", b"x" * (3 << 20 if i % 5 == 0 else 1)) for i in range(1200)]
    chunks = list(_chunks(iter(entries)))
    assert [e for chunk in chunks for e in chunk] == entries
    assert all(len(chunk) <= 512 and sum(len(e.text) for e in chunk) < 12 << 20 for chunk in chunks)


@pytest.mark.slow
def test_fifty_kills_at_random_moments_leave_one_final_digest(tmp_path: Path) -> None:
    """Also: the final name never holds anything but the whole file."""
    source = wbm_file(tmp_path / "wbm.json.bz2", copies=60)
    command = [*TOOL, "build-dataset", str(source), "--workers", "2", "-o"]
    start = time.monotonic()
    subprocess.run([*command, str(tmp_path / "whole.h5")], check=True, stderr=subprocess.DEVNULL)
    duration = time.monotonic() - start
    whole = (tmp_path / "whole.h5").read_bytes()
    output = tmp_path / "x.h5"
    rng = random.Random(5)
    kills = 0
    while kills < 50:
        process = subprocess.Popen([*command, str(output)], stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            process.wait(rng.uniform(0.2, 1.2) * duration)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
        if output.exists():
            assert output.read_bytes() == whole
            output.unlink()
    subprocess.run([*command, str(output)], check=True, stderr=subprocess.DEVNULL)
    assert output.read_bytes() == whole
    assert sorted(path.name for path in tmp_path.iterdir()) == ["wbm.json.bz2", "whole.h5", "x.h5"]


def test_cleaning_rules_reject_renumber_and_count(tmp_path: Path) -> None:
    """As Matbench Discovery does: step_3_70804 is wbm-3-70803, because 70802 and 70803 have no energies."""
    structure = real_structures()[0].structure
    keys = ["step_2_70803", "step_3_70801", "step_3_70802", "step_3_70803", "step_3_70804", "step_3_70830"]
    source = tmp_path / "x.json"
    source.write_text(json.dumps({key: {"org": structure} for key in keys}))
    energies = tmp_path / "e.csv"
    energies.write_text(f"material_id,label,e_form_per_atom\na,{LABELS[0]},-10\nb,{LABELS[0]},4.9\nc,{LABELS[0]},\n")
    build_dataset([source, energies], tmp_path / "x.h5", options=BuildOptions(clean=("misaligned", "extreme-energy")))
    found = read_dataset(tmp_path / "x.h5")
    assert found.material_id.tolist() == ["wbm-2-70804", "wbm-3-70802", "wbm-3-70803", "wbm-3-70825", "b", "c"]
    assert found.rejected.material_id == ("step_3_70802", "step_3_70803", "a")
    assert json.loads(found.attributes["cleaning"]) == {"misaligned": 2, "extreme-energy": 1, "no-volume": 0}
    build_dataset([source], tmp_path / "y.h5")
    assert read_dataset(tmp_path / "y.h5").material_id[4] == "wbm-3-70805"
    with pytest.raises(DatasetError, match="the cleaning rules are misaligned, extreme-energy, got 'dust'"):
        BuildOptions(clean=("dust",))


def test_properties_of_another_table_are_joined_by_id_and_cleaned(tmp_path: Path) -> None:
    flat = {**real_structures()[0].structure, "lattice": {"matrix": [[1, 0, 0], [0, 1, 0], [1, 1, 0]]}}
    structures = [real.structure for real in real_structures()[:4]] + [flat]
    source = tmp_path / "x.json"
    source.write_text(json.dumps({f"step_2_{i}": {"org": s, "opt": s} for i, s in enumerate(structures)}))
    summary = tmp_path / "summary.csv"
    summary.write_text(
        "material_id,e_form_per_atom_wbm,bandgap_pbe\nwbm-2-1,-1,2\nwbm-2-2,-9,\nwbm-2-4,0.5,nan\nwbm-9-9,1,1\n"
    )
    outcome = build_dataset(
        [source], tmp_path / "x.h5", properties=summary, options=BuildOptions(clean=("misaligned", "extreme-energy"))
    )
    found = read_dataset(tmp_path / "x.h5")
    assert found.material_id.tolist() == ["wbm-2-1", "wbm-2-3", "wbm-2-4"]
    assert [str(p) for p in found.columns] == found.label.tolist()
    assert found.properties["e_form_per_atom"].tolist() == pytest.approx([-1, np.nan, 0.5], nan_ok=True)
    assert found.properties["band_gap"].tolist() == pytest.approx([2, np.nan, np.nan], nan_ok=True)
    assert outcome.rejected.material_id == ("wbm-2-5", "wbm-2-2")
    assert outcome.rejected.place[1] == str(summary)
    assert json.loads(found.attributes["cleaning"]) == {"misaligned": 0, "extreme-energy": 1, "no-volume": 1}
    assert [s["kind"] for s in json.loads(found.attributes["sources"])] == ["json", "properties"]


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_a_table_of_properties_may_have_tabs_or_semicolons_and_blank_lines(tmp_path: Path, delimiter: str) -> None:
    table = tmp_path / "t.csv"
    table.write_text("\ufeff" + "material_id,year,e_form_per_atom\na,1999,-1\n\nb,,2\n\n".replace(",", delimiter))
    found = read_properties(table)
    assert dict(zip(found.names, found.rows["a"], strict=True)) == {"e_form_per_atom": -1, "year": 1999}
    assert found.rows["b"] == pytest.approx((np.nan, 2), nan_ok=True)
    table.write_text("material_id,year\na,1\n\na,2\n".replace(",", delimiter))
    with pytest.raises(DatasetError, match=r"t\.csv:4: a stands twice"):
        read_properties(table)


def test_a_build_goes_on_where_the_file_system_has_no_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(file: object, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("wyckoffkit.files.fcntl.flock", unsupported)
    assert build_dataset([PATH], tmp_path / "x.h5").n_written == len(real_structures())


def test_a_table_without_properties_or_with_an_id_twice_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    for text, sentence in (
        ("material_id,colour\na,red\n", "has a column of ids"),
        ("material_id,year\na,1\na,2\n", r"t\.csv:3: a stands twice"),
        ("material_id,year\na\n", r"t\.csv:2: 1 fields under 2 headings"),
    ):
        table.write_text(text)
        with pytest.raises(DatasetError, match=sentence):
            build_dataset([PATH], tmp_path / "x.h5", properties=table)
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_rows_with_a_name_that_has_come_before_are_written_and_counted(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(f"material_id,label\na,{LABELS[0]}\nb,{LABELS[0]}\na,{LABELS[1]}\n")
    outcome = build_dataset([tmp_path / "x.csv"], tmp_path / "x.h5")
    assert (outcome.n_written, outcome.n_repeated) == (3, 1)


def test_a_dataset_of_labels_alone_claims_no_engine(tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(LABELS))
    build_dataset([labels], tmp_path / "x.h5")
    root = read_dataset(tmp_path / "x.h5").attributes
    assert root["n_from_structures"] == 0
    assert "engine" not in root
    assert "symprec" not in root
