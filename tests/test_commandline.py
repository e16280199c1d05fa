"""A command ends with 0, with one sentence and 1, or with 2: the disk full and the reader gone included."""

from __future__ import annotations

import errno
import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from command_line import TOOL
from real_labels import LABEL_FILE

from wyckoffkit import LabelError
from wyckoffkit.commandline import EXTRAS, named_errors

ROOT = Path(__file__).parent.parent
COMMAND = shlex.join(TOOL)


@pytest.mark.parametrize(
    "error, sentence",
    [
        (LabelError("a label is a line"), "encode: a label is a line"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "x.txt"), "encode: x.txt: no such file"),
        (OSError(errno.ENOSPC, "No space left on device"), "encode: the disk that is written to is full"),
        (MemoryError(), "encode: out of memory; give it less"),
    ],
)
def test_what_went_wrong_is_one_sentence_and_exit_code_1(capsys, error, sentence):
    with pytest.raises(SystemExit) as left, named_errors("encode"):
        raise error
    assert left.value.code == 1
    told = capsys.readouterr().err
    assert told.startswith(sentence)
    assert told.count("\n") == 1


def test_a_package_that_is_not_installed_is_named_with_its_extra(capsys):
    with pytest.raises(SystemExit), named_errors("sample"):
        raise ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn")
    assert capsys.readouterr().err == "sample: needs torch, which is not installed: pip install 'wyckoffkit[model]'\n"
    with pytest.raises(ModuleNotFoundError), named_errors("sample"):
        raise ModuleNotFoundError("No module named 'ours'", name="ours")


def test_every_extra_that_a_message_names_exists():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(EXTRAS.values()) <= set(extras)


def test_a_bug_shows_itself():
    with pytest.raises(KeyError), named_errors("encode"):
        raise KeyError("x")


def run(command, **options):
    return subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, **options)


def test_a_full_disk_behind_stdout_is_a_sentence():
    done = run(f"{COMMAND} decode <({COMMAND} encode {LABEL_FILE}) > /dev/full")
    assert done.returncode == 1
    assert done.stderr.startswith("wyckoffkit: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "command", ["--help", "spacegroup 225", f"validate {LABEL_FILE}", f"show {LABEL_FILE}", "enumerate TiO2"]
)
def test_a_reader_that_goes_away_is_no_error(command):
    done = run(f"{COMMAND} {command} | true; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_shell_completes_commands_and_options():
    def completed(*words):
        about = {
            "COMP_WORDS": " ".join(words),
            "COMP_CWORD": str(len(words) - 1),
            "_WYCKOFFKIT_COMPLETE": "complete_bash",
        }
        script = Path(sys.executable).with_name("wyckoffkit")
        return run(str(script), env={**os.environ, **about}).stdout

    assert completed("wyckoffkit", "la") == "label\n"
    assert completed("wyckoffkit", "label", "--sym") == "--symprec\n"


def test_a_reader_that_goes_away_is_told_nothing():
    many = " ".join([str(LABEL_FILE)] * 20)  # more than a pipe holds
    done = run(f"cat {many} | {COMMAND} canonicalize - | head -n 1")
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
