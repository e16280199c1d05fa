"""The training and sampling commands: one sentence for bad input, and true to a killed run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from small_materials import write_small_dataset
from typer.testing import CliRunner

from reference_model.checkpoint import read_checkpoint
from reference_model.export import app as export_app
from reference_model.sample.app import app as sample_app
from reference_model.train.app import app as train_app
from reference_model.train.choices import choose
from wyckoffkit import CheckpointError

TINY = [
    *("--set", "model.hidden_size=8", "--set", "model.n_heads=2", "--set", "model.n_layers=1"),
    *("--batch-size", "8", "--no-bf16", "--threads", "1"),
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_small_dataset(tmp_path_factory.mktemp("data") / "small.h5", [0] * 52 + [1] * 8)


def invoke(app, *arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_train_then_export_then_sample(dataset, tmp_path):
    done = invoke(train_app, dataset, "-o", tmp_path / "run", "--steps", 6, "--validations", 2, *TINY)
    assert done.exit_code == 0, done.output
    assert "step 6" in done.stderr
    assert "best validation" in done.stderr
    weights = tmp_path / "weights" / "small.safetensors"
    done = invoke(export_app, tmp_path / "run", "-o", weights, "--half")
    assert done.exit_code == 0, done.output
    assert sorted(p.name for p in weights.parent.iterdir()) == [
        "small.md",
        "small.reference.safetensors",
        "small.safetensors",
    ]
    assert "52 materials of" in weights.with_suffix(".md").read_text()
    done = invoke(sample_app, weights, "-n", 5, "--threads", 1)
    assert done.exit_code == 0, done.output
    assert len(done.stdout.splitlines()) == 5
    assert done.stderr.startswith("5 samples in ")


@pytest.mark.parametrize(
    "content, sentence",
    [(None, "no such file"), (b"", "empty"), (b"not HDF5", "not an HDF5")],
)
def test_a_dataset_that_is_none_is_one_sentence_and_exit_code_1(tmp_path, content, sentence):
    path = tmp_path / "x.h5"
    if content is not None:
        path.write_bytes(content)
    done = invoke(train_app, path, "-o", tmp_path / "run", "--steps", 1)
    assert done.exit_code == 1
    assert sentence in " ".join(done.stderr.split())
    assert "Traceback" not in done.output
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_that_is_none_is_one_sentence_and_exit_code_1(tmp_path):
    for content, sentence in ((None, "no such file"), (b"", "is empty"), (b"text", "not a safetensors file")):
        path = tmp_path / "x.safetensors"
        if content is not None:
            path.write_bytes(content)
        done = invoke(sample_app, path)
        assert done.exit_code == 1
        assert sentence in " ".join(done.stderr.split())
        assert done.stdout == ""


def test_wrong_usage_is_exit_code_2(tmp_path):
    assert invoke(sample_app, "-n", 0).exit_code == 2
    assert invoke(sample_app, "--space-group", 231).exit_code == 2
    assert invoke(sample_app, "--sampler", "best").exit_code == 2
    assert invoke(train_app).exit_code == 2
    assert invoke(train_app, "x.h5", "-o", tmp_path, "--objective", "best").exit_code == 2


def test_flags_win_over_the_file_and_settings_over_flags(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('[model]\nname = "paper"\nprior = "zeros"\nT = 10\n[train]\nlr = 0.5\nseed = 3\nminutes = 5\n')
    model, train = choose(str(path), {"prior": "marginal"}, {"lr": 0.25, "steps": None}, ["train.seed=4", "model.T=20"])
    assert (model.name, model.prior, model.T) == ("paper", "marginal", 20)
    assert (train.lr, train.seed, train.minutes, train.steps) == (0.25, 4, 5, None)


def test_without_a_budget_a_run_is_one_hour():
    assert choose("compact", {}, {}, [])[1].minutes == 60
    assert choose("compact", {}, {"steps": 5}, [])[1].minutes is None


@pytest.mark.parametrize(
    "config, settings, sentence",
    [
        ("none.toml", [], "no such file, and not one of paper, released, compact"),
        ("compact", ["lr=3"], "--set takes model.KEY=VALUE or train.KEY=VALUE, got 'lr=3'"),
        ("compact", ["train.lrr=3"], "no setting train.lrr; there are accumulate"),
        ("compact", ["model.colour=3"], "no setting model.colour; there are T, architecture"),
        ("compact", ["model.hidden_size=-1"], "hidden_size is a whole number above 0, got -1"),
        ("compact", ["train.batch_size=0"], "batch_size must be at least 1, got 0"),
        ("compact", ["train.ema=2"], "ema is a fraction from 0 to 1, got 2"),
        ("compact", ["train.steps=-1"], "steps must be above 0, got -1"),
        ("paper", ["model.objective=jump"], "no head for the jump objective"),
    ],
)
def test_settings_that_mean_nothing_are_named(config, settings, sentence):
    with pytest.raises(CheckpointError) as caught:
        choose(config, {}, {}, settings)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("device", ["abacus", "cuda:99", "hpu"])
def test_a_device_that_is_not_here_is_refused_in_a_sentence(device):
    done = invoke(sample_app, "-n", 1, "--device", device)
    assert done.exit_code == 1
    assert f"sample: the device '{device}' cannot be used here" in done.stderr


def test_a_file_that_cannot_be_written_is_refused_before_the_model_is_read(tmp_path):
    (tmp_path / "there.txt").touch()
    for name, sentence in (("there.txt", "exists; give --force"), ("x.doc", "samples are written as .txt")):
        done = invoke(sample_app, tmp_path / "no-model", "-n", 1, "-o", tmp_path / name)
        assert (done.exit_code, sentence in done.stderr) == (1, True)


def test_a_toml_file_with_other_tables_is_refused(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text("[optimiser]\nlr = 1\n")
    with pytest.raises(CheckpointError, match=r"only the tables \[model\] and \[train\]"):
        choose(str(path), {}, {}, [])
    path.write_text("[model\n")
    with pytest.raises(CheckpointError, match="is not a TOML file"):
        choose(str(path), {}, {}, [])


SENT_TO_ITSELF = """
import os, runpy
from reference_model.train import engine
written = engine.Run._write_log
def write_and_send(run, seconds):
    written(run, seconds)
    if run.progress.step == 20:
        os.kill(os.getpid(), SENT)
engine.Run._write_log = write_and_send
runpy.run_module("reference_model.train", run_name="__main__", alter_sys=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_the_command_killed_and_given_again_ends_in_the_undisturbed_weights(dataset, tmp_path, sent):
    """Between the line of step 20 in the log and its checkpoint."""

    def arguments(folder):
        every_step = ("--set", "train.checkpoint_minutes=1e-9", "--set", "train.log_steps=1")
        steps = ("--steps", "120", "--validations", "3", *every_step)
        return [str(dataset), "-o", str(folder), *steps, *TINY]

    def command(folder):
        return [sys.executable, "-m", "reference_model.train", *arguments(folder)]

    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command(tmp_path / "a"), check=True, env=environment, capture_output=True)
    script = SENT_TO_ITSELF.replace("SENT", str(int(sent)))
    done = subprocess.run([sys.executable, "-c", script, *arguments(tmp_path / "b")], env=environment, check=False)
    stopped, step = (-sent, 19) if sent == signal.SIGKILL else (0, 20)
    assert done.returncode == stopped
    assert read_checkpoint(tmp_path / "b" / "checkpoint.safetensors").training["step"] == step
    subprocess.run(command(tmp_path / "b"), check=True, env=environment, capture_output=True)
    a, b = (read_checkpoint(tmp_path / name / "checkpoint.safetensors") for name in "ab")
    assert all(torch.equal(a.weights[name], b.weights[name]) for name in a.weights)
    assert all(torch.equal(a.ema[name], b.ema[name]) for name in a.ema)
    curves = [
        [json.loads(line).get("loss") for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in "ab"
    ]
    assert curves[0] == curves[1]
    assert np.isfinite([loss for loss in curves[0] if loss is not None]).all()
