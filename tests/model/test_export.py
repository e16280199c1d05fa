"""What is shipped: weights, pack and card that belong together, and shipped weights that are what their card says."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
import torch
from small_materials import small_materials
from typer.testing import CliRunner

import reference_model
from reference_model.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from reference_model.config import ModelConfig
from reference_model.export import app
from reference_model.network import build_network
from reference_model.reference import build_reference, read_reference, write_reference
from reference_model.sample import sample

CONFIG = ModelConfig.named("compact", hidden_size=8, n_layers=1, n_heads=2, n_elements=20, max_count=7)
WEIGHTS = Path(reference_model.__file__).parent / "weights"
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


def test_the_shipped_model_keeps_its_quality():
    # Over 10,000 samples the shipped model is 98.8 % unique and 45 % novel (docs/results.md); the bounds leave room.
    torch.set_num_threads(1)
    drawn = sample(1000, seed=1)
    labels = [s.label for s in drawn]
    pack = read_reference(WEIGHTS / "default.reference.safetensors")
    novel = 1 - pack.knows_labels(labels).mean()
    assert len(labels) == 1000
    assert len(set(labels)) >= 980
    assert 0.4 <= novel <= 0.9
