"""Disks that are full or not to be written, files with odd names, and clocks that jump.

Disks are mounted in a namespace of the test's own, which Linux allows without rights.
"""

from __future__ import annotations

import ast
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import TOOL
from real_labels import LABEL_FILE
from real_structures import PATH as STRUCTURES

from wyckoffkit import WyckoffkitError
from wyckoffkit.realize.record import Record

ROOT = Path(__file__).resolve().parents[1]
NAMESPACE = ["unshare", "--map-root-user", "--mount", "bash", "-c"]


def can_mount() -> bool:
    try:
        return subprocess.run([*NAMESPACE, "mount -t tmpfs x /mnt"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


needs_mounts = pytest.mark.skipif(not can_mount(), reason="needs Linux and unshare")

TRAIN = ["--steps", "3", "--validations", "1", "--no-bf16", "--threads", "1"]
TRAIN += ["--set", "model.hidden_size=8", "--set", "model.n_heads=2", "--set", "model.n_layers=1"]
SLOW = pytest.mark.slow
# What is run, and how much room is too little for it.
WRITERS = [
    pytest.param([*TOOL, "encode", LABEL_FILE, "-o", "out/x.h5"], 8, id="encode"),
    pytest.param([*TOOL, "build-dataset", STRUCTURES, "-o", "out/x.h5"], 16, id="build-dataset", marks=SLOW),
    pytest.param([*TOOL, "realize", "few.txt", "-o", "out/r"], 8, id="realize"),
    pytest.param([*TOOL, "relax", "metals.txt", "-o", "out/r", "--calculator", "emt"], 4, id="relax", marks=SLOW),
    pytest.param(
        [sys.executable, "-m", "reference_model.sample", "-n", "2000", "-o", "out/x.txt"], 16, id="sample", marks=SLOW
    ),
    pytest.param(
        [sys.executable, "-m", "reference_model.evaluate", LABEL_FILE, "--json", "out/x.json"],
        8,
        id="evaluate",
        marks=SLOW,
    ),
    pytest.param(
        [sys.executable, "-m", "reference_model.train", "d.h5", "-o", "out/run", *TRAIN], 64, id="train", marks=SLOW
    ),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    (tmp_path / "few.txt").write_text("".join(LABEL_FILE.read_text().splitlines(keepends=True)[:30]))
    (tmp_path / "metals.txt").write_text("AB3_cP4_221_a_c:Au-Cu\nAB_tP2_123_a_d:Au-Cu\nAB2_hP3_164_a_d:Ag-Au\n")
    return tmp_path


def run(script: str, folder: Path, *, mounts: bool = False) -> subprocess.CompletedProcess[str]:
    command = [*NAMESPACE, script] if mounts else ["bash", "-c", script]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def words(command: list[object]) -> str:
    return shlex.join(map(str, command))


def make_dataset(command: list[object], folder: Path) -> None:
    if "d.h5" in command:
        assert run(words([*TOOL, "build-dataset", STRUCTURES, "-o", "d.h5"]), folder).returncode == 0


@needs_mounts
@pytest.mark.parametrize("command, room", WRITERS)
def test_a_command_on_a_full_disk_says_so_and_goes_on_when_there_is_room(folder, command, room):
    make_dataset(command, folder)
    again = words(command)
    script = (
        f"mount -t tmpfs -o size={room}k x out && ({again}); echo first $? >&2; "
        f"mount -o remount,size=64m out && ({again} > /dev/null 2> again.txt); echo second $? >&2; "
        "cd out && find . -type f | sort | sed 's/^/left /' >&2"
    )
    done = run(script, folder, mounts=True)
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    first = lines.index("first 1")
    assert "no space left" in lines[first - 1].lower()
    assert "second 0" in lines, (folder / "again.txt").read_text()
    assert not [line for line in lines if line.startswith("left ") and "partial" in line]


@needs_mounts
@pytest.mark.parametrize("command, room", WRITERS)
def test_a_folder_that_is_not_to_be_written_is_one_sentence(folder, command, room):
    make_dataset(command, folder)
    done = run(f"mount --bind out out && mount -o remount,ro,bind out && {words(command)}", folder, mounts=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "read-only file system" in done.stderr.lower()
    assert not list((folder / "out").iterdir())


ODD = [b"a b.txt", b"a\nb.txt", "naïve ü.txt".encode(), b"\xff\xfe.txt", b"-n.txt", b"$(touch x);'\".txt"]


@pytest.mark.parametrize("name", ODD, ids=repr)
@pytest.mark.parametrize(
    "command",
    [
        pytest.param(name, marks=SLOW if name in ("build-dataset", "realize") else ())
        for name in ("encode", "canonicalize", "build-dataset", "realize")
    ],
)
def test_odd_names_of_files_are_names(folder, name, command):
    source, out = "./" + os.fsdecode(name), "./out/" + os.fsdecode(name).removesuffix(".txt") + ".h5"
    os.rename(folder / "few.txt", folder / source)
    to = [] if command == "canonicalize" else ["-o", out]
    done = subprocess.run([*TOOL, command, source, *to], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (folder / out).exists() or command == "canonicalize"


@pytest.mark.parametrize("name", [b"a\nb.txt", b"\xff\xfe.txt"], ids=repr)
def test_an_odd_name_of_no_file_is_no_traceback(folder, name):
    done = subprocess.run([*TOOL, "encode", "./" + os.fsdecode(name)], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr


def test_links_are_followed_to_what_is_read_and_what_is_written(folder):
    (folder / "link.txt").symlink_to("few.txt")
    (folder / "link.h5").symlink_to("out/there.h5")
    (folder / "linked").symlink_to("out")
    assert run(words([*TOOL, "encode", "link.txt", "-o", "link.h5"]), folder).returncode == 0
    assert run(words([*TOOL, "encode", "link.txt", "-o", "linked/other.h5"]), folder).returncode == 0
    assert (folder / "link.h5").is_symlink()
    assert (folder / "out/there.h5").read_bytes() == (folder / "out/other.h5").read_bytes()
    (folder / "round.txt").symlink_to("round.txt")
    done = run(words([*TOOL, "encode", "round.txt"]), folder)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["encode", "canonicalize", "validate", "realize -o out/r", "relax -o out/r"])
def test_text_in_another_encoding_is_named(folder, command):
    (folder / "latin.txt").write_bytes("AB_cF8_225_a_b:Ca-O\nä\n".encode("latin-1"))
    name, *more = command.split()
    done = run(words([*TOOL, name, "latin.txt", *more]), folder)
    assert done.returncode == 1
    assert "latin.txt: not UTF-8 text" in done.stderr
    assert "Traceback" not in done.stderr


def test_two_processes_do_not_write_one_record(tmp_path):
    with Record(tmp_path / "x.jsonl", "trials", {}) as first:
        first.append([{"label": "a"}])
        with pytest.raises(WyckoffkitError, match="another process is writing it"):
            Record(tmp_path / "x.jsonl", "trials", {})
    with Record(tmp_path / "x.jsonl", "trials", {}) as second:
        assert second.done == [{"label": "a"}]


def wall_clocks(source: str) -> list[str]:
    """What reads the time of day, which may jump."""
    told = ("time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today", "date.today")
    tree = ast.walk(ast.parse(source))
    found = (ast.unparse(node) for node in tree if isinstance(node, ast.Attribute))
    return [text for text in found if text.endswith(told)]


def test_no_module_reads_a_clock_that_may_jump():
    assert wall_clocks("import time\nprint(time.time())")
    for package in ("wyckoffkit", "reference_model", "cli", "tables"):
        for path in (ROOT / package).rglob("*.py"):
            assert not wall_clocks(path.read_text(encoding="utf-8")), path
            assert "from time import time" not in path.read_text(encoding="utf-8"), path
