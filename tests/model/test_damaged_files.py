"""Files that a disk or a transfer has damaged give one sentence, or what was written, and nothing else."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "fuzz"))
from damaged_files import ERROR, FINDING, OTHER, campaign, damage, outcomes
from formats import FORMATS, Format

FEW, MANY = 25, 400


@pytest.mark.parametrize("name", FORMATS)
def test_a_damaged_file_gives_a_named_error_or_what_was_written(name):
    counts, findings = campaign(name, FEW, seed=1)
    assert not findings
    assert counts[ERROR] or name in ("samples.csv", "columns.csv")  # where a bad line is counted
    assert not (FORMATS[name].checked and counts[OTHER])


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_many_damaged_files_give_named_errors_or_what_was_written(name):
    assert not campaign(name, MANY, seed=2)[1]


@pytest.mark.parametrize(
    "read, why",
    [
        (lambda path: 1 / 0, "ZeroDivisionError"),
        (lambda path: "another", "unnoticed"),
        (lambda path: bytearray(1 << 40), "MemoryError"),
        (lambda path: os._exit(1), "left without a word"),
        (lambda path: os.kill(os.getpid(), signal.SIGKILL), "SIGKILL"),
    ],
)
def test_a_reader_that_fails_otherwise_is_found_out(tmp_path, read, why):
    path = tmp_path / "x"
    path.write_bytes(b"x")
    form = Format("bad", path.write_bytes, read, checked=True)
    found = list(outcomes(form, path, "right", [b"x", b"y"]))
    assert [code for code, _ in found] == [FINDING] * 2
    assert all(why in reason for _, reason in found)


def test_damage_changes_a_file_nearly_always():
    data = bytes(range(256)) * 4
    changed = [damage(data, np.random.default_rng(i)) != data for i in range(200)]
    assert sum(changed) >= 195
