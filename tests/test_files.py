"""A file appears whole or not at all, and one process at a time writes an output."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys

import pytest

from wyckoffkit import WyckoffkitError
from wyckoffkit.files import hold, holding, replacing


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
