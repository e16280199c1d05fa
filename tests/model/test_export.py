"""What is shipped: weights, pack and card that belong together, and shipped weights that are what their card says."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_materials import small_materials
from typer.testing import CliRunner

import reference_model
from reference_model.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from reference_model.config import ModelConfig
from reference_model.evaluate.app import app as evaluate
from reference_model.export import app
from reference_model.model import load_model
from reference_model.network import build_network
from reference_model.reference import build_reference, write_reference
from reference_model.sample import sample
from reference_model.score import Scorer
from wyckoffkit import parse_label

CONFIG = ModelConfig.named("compact", hidden_size=8, n_layers=1, n_heads=2, n_elements=20, max_count=7)
WEIGHTS = Path(reference_model.__file__).parent / "weights"
FIXTURES = Path(__file__).parent / "fixtures"
SHIPPED = sorted(WEIGHTS.glob("*.md"))


@pytest.fixture
def run(tmp_path):
    torch.manual_seed(0)
    weights = build_network(CONFIG).state_dict()
    columns, labels = small_materials(20)
    folder = tmp_path / "run"
    folder.mkdir()
    checkpoint = Checkpoint(
        config=CONFIG,
        weights=weights,
        ema={name: tensor + 1 for name, tensor in weights.items()},
        constrained_prior=torch.eye(21, dtype=torch.float64)[0],
        unconstrained_prior=torch.eye(8, dtype=torch.float64)[0],
        training={"step": 7, "seconds": 36.0, "validation": {"bits": 21.5, "bits_error": 0.25}},
        dataset={"sha256": "00ff", "licence": "CC BY 4.0", "training_materials": 20, "sources": '[{"name": "x.csv"}]'},
    )
    write_checkpoint(folder / "best.safetensors", checkpoint)
    pack = build_reference(columns, labels, n_elements=20, max_count=7, dataset={"sha256": "00ff"})
    write_reference(folder / "reference.safetensors", pack)
    return folder


def test_an_export_holds_the_average_as_weights_and_a_card_with_its_digests(run, tmp_path):
    out = tmp_path / "shipped" / "small.safetensors"
    done = CliRunner().invoke(app, [str(run), "-o", str(out)])
    assert done.exit_code == 0, done.output
    before, after = read_checkpoint(run / "best.safetensors"), read_checkpoint(out)
    assert after.ema == {}
    assert all(torch.equal(after.weights[name], before.ema[name]) for name in before.ema)
    card = out.with_suffix(".md").read_text()
    for path in (out, out.with_name("small.reference.safetensors")):
        assert f"`{path.name}`, SHA-256 `{hashlib.sha256(path.read_bytes()).hexdigest()}`" in card
    assert "21.50 ± 0.25 bits" in card
    assert sorted(path.suffix for path in out.parent.iterdir()) == [".md", ".safetensors", ".safetensors"]


def test_a_card_adds_up_the_runs_that_a_model_took(run, tmp_path):
    first = hashlib.sha256((run / "best.safetensors").read_bytes()).hexdigest()
    later = tmp_path / "later"
    shutil.copytree(run, later)
    training = {"step": 5, "materials": 300, "seconds": 72.0, "settings": {"initialised_from": first}}
    write_checkpoint(later / "best.safetensors", replace(read_checkpoint(run / "best.safetensors"), training=training))
    notes = tmp_path / "notes.md"
    notes.write_text("**Known weaknesses.** None of this is real.\n", encoding="utf-8")
    out = tmp_path / "later.safetensors"
    options = ["-o", str(out), "--earlier", str(run), "--notes", str(notes)]
    done = CliRunner().invoke(app, [str(later), *options])
    assert done.exit_code == 0, done.output
    card = out.with_suffix(".md").read_text()
    assert "300 materials seen in 12 steps, 0.03 h of wall time on one CPU thread, in 2 runs" in card
    assert "None of this is real." in card
    done = CliRunner().invoke(app, [str(run), *options])
    assert done.exit_code == 1
    assert "the run began with weights of its own" in done.output


def test_a_card_shows_evaluations_beside_held_out_data(run, tmp_path):
    labels, samples = tmp_path / "drawn.txt", tmp_path / "drawn.json"
    labels.write_text((FIXTURES / "wbm_held_out.txt").read_text(encoding="utf-8"), encoding="utf-8")
    done = CliRunner().invoke(evaluate, [str(labels), "--json", str(samples), "--no-fwd"])
    assert done.exit_code == 0, done.output
    content = json.loads(samples.read_text(encoding="utf-8"))
    done = CliRunner().invoke(app, [str(run), "-o", str(tmp_path / "x.safetensors"), "--evaluation", str(samples)])
    assert done.exit_code == 0, done.output
    card = (tmp_path / "x.md").read_text()
    assert "| | held-out | drawn |" in card
    found = content["metrics"]["novel"]
    shown = " … ".join(f"{100 * found[end]:.3g}" for end in ("low", "high"))
    assert (
        f"| novel, % | {100 * content['lines']['novel']['value']:.3g} | {100 * found['value']:.3g} ({shown}) |" in card
    )


def test_a_folder_without_a_run_is_one_sentence(tmp_path):
    done = CliRunner().invoke(app, [str(tmp_path), "-o", str(tmp_path / "x.safetensors")])
    assert done.exit_code == 1
    assert done.output.startswith("export: ")
    assert not (tmp_path / "x.safetensors").exists()


@pytest.mark.parametrize("card", SHIPPED, ids=lambda path: path.stem)
def test_shipped_files_are_those_their_card_names(card):
    named = re.findall(r"`([\w.-]+\.safetensors)`, SHA-256 `([0-9a-f]{64})`", card.read_text(encoding="utf-8"))
    assert named
    for name, digest in named:
        assert hashlib.sha256((card.parent / name).read_bytes()).hexdigest() == digest


def figures(drawn):
    """(unique, novel, with a novel prototype, in groups 1-15), shares of the samples."""
    groups = np.array([s.protostructure.space_group.number for s in drawn])
    unique = len({s.label for s in drawn}) / len(drawn)
    novel, new_prototype = (float(np.mean([getattr(s, name) for s in drawn])) for name in ("novel", "novel_prototype"))
    return unique, novel, new_prototype, float((groups < 16).mean())


def test_the_shipped_model_keeps_its_quality():
    """1,000 samples by the network's law, 300 reweighted; docs/results.md has the figures of 10,000, which the bounds
    leave some five standard errors to.
    """
    unique, novel, new_prototype, low_symmetry = figures(sample(1000, seed=1, reweight=False))
    assert unique >= 0.98
    assert 0.31 <= novel <= 0.47
    assert new_prototype <= 0.065
    assert 0.07 <= low_symmetry <= 0.18
    unique, novel, new_prototype, low_symmetry = figures(sample(300, seed=1))
    assert unique >= 0.97
    assert 0.72 <= novel <= 0.93
    assert new_prototype <= 0.015
    assert 0.04 <= low_symmetry <= 0.22


def test_the_shipped_model_finds_held_out_materials_as_likely_as_its_card_says():
    lines = (FIXTURES / "wbm_held_out.txt").read_text(encoding="utf-8").splitlines()
    held_out = [line for line in lines if not line.startswith("#")][:200]
    scores = Scorer(load_model(), exact=4).score([parse_label(label) for label in held_out])
    bits = np.array([[score.bits, score.reweighted_bits] for score in scores]).mean(0)
    assert 18 < bits[0] < 20.2
    assert bits[1] < bits[0] - 0.4
