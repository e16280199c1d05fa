"""Two processes under torchrun write what one writes, to the byte."""

from __future__ import annotations

import json
import os
import sys

import pytest
import torch
from torch.multiprocessing import start_processes
from typer.testing import CliRunner

from reference_model.sample.app import app


def command(arguments):
    """The command, in a process of its own that torchrun would have started; what it prints goes to files."""
    return CliRunner().invoke(app, [*map(str, arguments), "--threads", "1"])


def one_of_two(index, store, arguments, told):
    import torch.distributed as dist

    torch.set_num_threads(1)
    os.environ["RANK"] = str(index)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=index, world_size=2)
    try:
        done = command(arguments)
        (told / f"{index}.json").write_text(json.dumps([done.exit_code, done.stdout, done.stderr]))
    finally:
        dist.destroy_process_group()


def together(tmp_path, arguments):
    """(exit code, stdout, stderr) of each of two processes."""
    told = tmp_path / "told"
    told.mkdir()
    start_processes(one_of_two, (tmp_path / "store", arguments, told), nprocs=2, start_method="fork")
    return [json.loads((told / f"{i}.json").read_text()) for i in range(2)]


@pytest.mark.parametrize(
    "options",
    [
        ("-n", 50, "--batch-size", 16),
        ("-n", 30, "--batch-size", 8, "--novel-only"),
        ("-n", 30, "--require", "O", "--max-atoms", 10),
    ],
    ids=["free", "novel", "conditions"],
)
@pytest.mark.skipif(sys.platform != "linux", reason="gloo over a file store is for Linux")
def test_two_processes_write_the_same_bytes_as_one(tmp_path, options):
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    assert command((*options, "-o", one)).exit_code == 0
    first, second = together(tmp_path, (*options, "-o", two))
    assert first[0] == second[0] == 0, (first, second)
    assert two.read_bytes() == one.read_bytes()
    assert "samples in" in first[2]
    assert second[1:] == ["", ""]


@pytest.mark.skipif(sys.platform != "linux", reason="gloo over a file store is for Linux")
def test_an_error_of_the_first_process_ends_both(tmp_path):
    (tmp_path / "there.txt").write_text("")
    first, second = together(tmp_path, ("-n", 5, "-o", tmp_path / "there.txt"))
    assert first[0] == second[0] == 1
    assert "--force" in first[2]
