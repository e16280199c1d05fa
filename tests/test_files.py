"""A file appears whole or not at all, and one process at a time writes an output."""

from __future__ import annotations

import ast
import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from wyckoffkit import WyckoffkitError
from wyckoffkit.files import hold, holding, replacing

ROOT = Path(__file__).resolve().parents[1]


def test_a_file_keeps_its_old_content_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "x"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    with pytest.raises(FileNotFoundError), replacing(path) as temporary:
        temporary.with_name("elsewhere").rename(temporary)
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["x"]


def test_a_process_killed_while_it_writes_leaves_the_old_file(tmp_path):
    path = tmp_path / "x"
    path.write_text("old")
    script = (
        "import os, signal; from pathlib import Path; from wyckoffkit.files import replacing\n"
        f"with replacing(Path({str(path)!r})) as t: t.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"


def test_what_the_system_refuses_names_the_file_that_was_meant(tmp_path):
    path = tmp_path / "x"
    with pytest.raises(OSError, match="No space left") as caught, replacing(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"), replacing(tmp_path / "file" / "x"):
        pass


def test_two_processes_do_not_write_one_output(tmp_path):
    script = (
        f"from pathlib import Path; from wyckoffkit.files import holding\nwith holding(Path({str(tmp_path)!r})): pass"
    )
    with holding(tmp_path):
        second = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "another process is writing it" in second.stderr
    after = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert after.returncode == 0, after.stderr


def test_a_second_writer_of_an_open_file_is_refused(tmp_path):
    with open(tmp_path / "x", "w") as first, open(tmp_path / "x", "w") as second:
        hold(first, tmp_path / "x")
        with pytest.raises(WyckoffkitError, match="x: another process is writing it"):
            hold(second, tmp_path / "x")


# Files that grow, which are never taken for finished ones: records, a log, a lock, an unfinished `.part`.
GROWING = {
    ("wyckoffkit/build/build.py", "_shard_folder"),
    ("wyckoffkit/realize/record.py", "__init__"),
    ("reference_model/sample/output.py", "__init__"),
    ("reference_model/train/runlog.py", "__init__"),
    ("reference_model/extractor/trainer.py", "_save"),
}


def written_paths(tree):
    """(function, variable) of every path that a module opens for writing, or writes text or bytes to."""
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
            target = call.func
            if isinstance(target, ast.Attribute) and target.attr in ("write_text", "write_bytes", "savefig"):
                path = call.args[0] if target.attr == "savefig" else target.value
            elif isinstance(target, ast.Name) and target.id == "open" and len(call.args) > 1:
                mode = ast.literal_eval(call.args[1])
                if not set(mode) & set("wax+"):
                    continue
                path = call.args[0]
            else:
                continue
            yield function.name, ast.unparse(path)


def test_no_module_writes_a_file_under_its_final_name():
    found = []
    for package in ("wyckoffkit", "reference_model", "cli"):
        for module in sorted((ROOT / package).rglob("*.py")):
            name = str(module.relative_to(ROOT))
            for function, path in written_paths(ast.parse(module.read_text(encoding="utf-8"))):
                if path not in ("temporary", "partial") and (name, function) not in GROWING:
                    found.append(f"{name}: {function} writes to {path}")
    assert found == []
    sample = ast.parse("def f(p):\n    p.write_text('x')\n    open(p, 'wb')\n    open(p)")
    assert list(written_paths(sample)) == [("f", "p"), ("f", "p")]
