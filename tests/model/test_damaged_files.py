"""Files that a disk or a transfer has damaged give one sentence, or what was written, and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "fuzz"))
from damaged_files import ERROR, FINDING, FORMATS, OTHER, Format, campaign, damage, outcome

FEW, MANY = 25, 400


@pytest.mark.parametrize("name", FORMATS)
def test_a_damaged_file_gives_a_named_error_or_what_was_written(name):
    counts, findings = campaign(name, FEW, seed=1)
    assert not findings
    assert counts[ERROR]
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
    ],
)
def test_a_reader_that_fails_otherwise_is_found_out(tmp_path, read, why):
    path = tmp_path / "x"
    path.write_bytes(b"x")
    code, reason = outcome(Format("bad", path.write_bytes, read, checked=True), path, "right")
    assert code == FINDING
    assert why in reason


def test_damage_changes_a_file_nearly_always():
    data = bytes(range(256)) * 4
    changed = [damage(data, np.random.default_rng(i)) != data for i in range(200)]
    assert sum(changed) >= 195
