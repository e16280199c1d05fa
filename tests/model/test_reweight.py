"""Weights for novelty: a density ratio, samples that follow it, and what cannot be done with it in a sentence."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from small_materials import small_materials, write_small_dataset
from typer.testing import CliRunner

from reference_model.checkpoint import read_checkpoint, write_checkpoint
from reference_model.conditioning import Laws, Request, sample_request
from reference_model.config import ModelConfig, TrainConfig
from reference_model.model import load_model
from reference_model.reference import read_reference, write_reference
from reference_model.reweight.app import app
from reference_model.reweighting import FEWEST, Located, Novelty, Reweighting, fit
from reference_model.sample import command, iterate
from reference_model.sample import draw as free
from reference_model.sample.thinning import Thinning
from reference_model.score import Scorer
from reference_model.streams import Streams
from reference_model.train import train
from wyckoffkit import CheckpointError, WyckoffkitError, format_label
from wyckoffkit.encoding import to_columns

SMALL = {"hidden_size": 16, "n_heads": 2, "n_layers": 1, "n_elements": 20, "max_count": 5}
N = 900
KNOWN_AND_NEW = Reweighting(((20.0,), (), ()), ((0.2, 0.4), (1.5,), (0.3,)), (1.0,) * 231, exact=0, repeats=1)


def dataset_file(folder, seed=0):
    return write_small_dataset(folder / f"small-{seed}.h5", [0] * (N - 330) + [1] * 300 + [2] * 30, seed=seed)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return dataset_file(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run_folder(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    config = TrainConfig(steps=80, batch_size=32, lr=1e-2, validations=2, bf16=False, log_steps=20)
    train(data, folder, ModelConfig.named("compact", **SMALL), config)
    return folder


def weighted(run_folder, weights=KNOWN_AND_NEW):
    model = load_model(run_folder)
    return replace(model, checkpoint=replace(model.checkpoint, reweighting=weights))


def kinds(samples):
    return np.array([Novelty.KNOWN if not s.novel else Novelty.NEW + s.novel_prototype for s in samples])


located = st.lists(st.tuples(st.sampled_from(list(Novelty)), st.floats(0, 60)), min_size=1, max_size=300)


@given(located, located, st.integers(1, 5))
def test_a_cells_weight_is_its_share_held_out_over_its_share_drawn(held_out, drawn, bins):
    sides = [tuple(map(np.array, zip(*side, strict=True))) for side in (held_out, drawn)]
    found = fit(*(Located(np.ones(len(k), dtype=int), k, b) for k, b in sides), bins=bins, exact=0, repeats=1)
    n_cells = sum(map(len, found.weights))
    for kind in Novelty:
        n_kind = (sides[0][0] == kind).sum()
        assert len(found.weights[kind]) <= max(1, min(bins, n_kind // FEWEST))
        for cell, weight in enumerate(found.weights[kind]):
            share = [
                (((k == kind) & (np.digitize(b, found.edges[kind]) == cell)).sum() + 0.5) / (len(k) + n_cells / 2)
                for k, b in sides
            ]
            assert weight == pytest.approx(share[0] / share[1])
    assert np.isin(found.weight(*sides[1]), np.concatenate(found.weights)).all()
    assert (found.weight(*sides[1]) <= found.largest(sides[1][0])).all()
    assert found.bound == found.largest(np.array(Novelty)).max()


def test_each_range_of_bits_holds_as_many_held_out_materials_of_its_kind():
    kind = np.repeat(list(Novelty), [8 * FEWEST, 3 * FEWEST, FEWEST])
    bits = np.random.default_rng(1).normal(10.0 * kind)
    held_out = Located(np.ones(len(kind), dtype=int), kind, bits)
    found = fit(held_out, held_out, bins=5, exact=0, repeats=1)
    ranges = [np.bincount(np.digitize(bits[kind == k], found.edges[k])) for k in Novelty]
    assert [len(counts) for counts in ranges] == [5, 3, 1]
    assert all(np.ptp(counts) <= 1 for counts in ranges)


def test_factors_of_space_groups_bring_back_their_law():
    rng = np.random.default_rng(0)
    group = rng.choice([2, 62, 225], p=[0.1, 0.3, 0.6], size=60_000)
    kind = np.where(rng.random(len(group)) < np.where(group == 225, 0.9, 0.3), Novelty.KNOWN, Novelty.NEW)
    drawn = Located(group, kind, rng.normal(20, 2, len(group)))
    held_out = Located(np.full(2000, 62), np.repeat([0, 1], [300, 1700]), rng.normal(20, 2, 2000))
    found = fit(held_out, drawn, exact=0, repeats=1)
    ratio = found.density_ratio(drawn.space_group, drawn.novelty, drawn.bits)
    assert ratio.mean() == pytest.approx(1, abs=0.01)
    for s in (2, 62, 225):
        assert ratio[group == s].mean() == pytest.approx(1, abs=0.02)
        # Without its factor a group of much that is known would lose half of its samples.
    assert found.weight(drawn.novelty, drawn.bits)[group == 225].mean() < 0.7
    known = ratio[drawn.novelty == Novelty.KNOWN].sum() / len(ratio)
    assert known == pytest.approx(0.15, abs=0.01)


def test_weights_survive_json_and_checkpoint():
    assert Reweighting.from_dict(json.loads(json.dumps(KNOWN_AND_NEW.to_dict()))) == KNOWN_AND_NEW


@pytest.mark.parametrize(
    "change",
    [
        {"weights": [[1.0], [1.0], [1.0]]},
        {"weights": [[0.0, 1.0], [1.0], [1.0]]},
        {"weights": [[1.0, 1.0], [1.0]]},
        {"edges": [[2.0, 1.0], [], []], "weights": [[1.0, 1.0, 1.0], [1.0], [1.0]]},
        {"edges": "none"},
        {"exact": None},
        {"group_factor": [1.0] * 230},
        {"group_factor": [-1.0] * 231},
    ],
)
def test_what_are_no_weights_is_refused(change):
    with pytest.raises(CheckpointError):
        Reweighting.from_dict({**KNOWN_AND_NEW.to_dict(), **change})


def test_samples_follow_the_models_law_times_the_weights(run_folder):
    model = weighted(run_folder)
    own, kept = (list(iterate(model, 3000, seed=seed, reweight=on)) for seed, on in ((1, False), (2, True)))
    weights = Thinning(model).weights([s.protostructure for s in own], [s.label for s in own])
    of_own = kinds(own)
    for kind in Novelty:
        expected = weights[of_own == kind].sum() / weights.sum()
        found, plain = (kinds(kept) == kind).mean(), (of_own == kind).mean()
        error = 4 * np.sqrt((0.01 + expected * (1 - expected)) / 1000)
        assert abs(found - expected) < error
        if kind == Novelty.KNOWN:  # a sampler that ignored the weights would fail here
            assert abs(plain - expected) > error


def test_thinning_passes_over_samples_and_changes_none(run_folder):
    model = weighted(run_folder)
    own = list(iterate(model, 400, seed=3, reweight=False))
    kept = list(iterate(model, 60, seed=3, reweight=True, batch_size=64))
    assert kept == [own[s.number] for s in kept]
    assert kept == list(iterate(model, 60, seed=3, reweight=True, batch_size=200))


def test_a_label_comes_once_where_samples_are_to_be_distinct(run_folder):
    model, tally = load_model(run_folder), free.Tally()
    own = list(iterate(model, 500, seed=4))
    distinct = list({s.label: s for s in reversed(own)}.values())
    first = sorted(distinct, key=lambda s: s.number)
    assert len(first) < 500
    assert list(iterate(model, len(first), seed=4, distinct=True, tally=tally)) == first
    assert tally.repeated + tally.kept + tally.invalid == tally.drawn
    assert list(iterate(model, 9, seed=4, distinct=True, first=first[9].number)) == first[9:18]


def test_weights_of_finished_materials_weigh_particles(run_folder):
    """P(A | request) under weights, and the mean weight, from the free samples that meet the request."""
    model = load_model(run_folder)
    config, request = model.checkpoint.config, Request.of(max_atoms=20)

    def weigh(columns):
        return np.where(np.diff(columns.offset) > 2, 3.0, 0.5)

    found = sample_request(
        model.network,
        request,
        Laws(torch.from_numpy(model.space_group_law), torch.from_numpy(model.token_law)),
        Streams.of(0, torch.arange(64 * 64)),
        n_samples=16,
        n_pools=64,
        n_elements=config.n_elements,
        max_count=config.max_count,
        filters=[weigh],
    )
    free_columns = to_columns([s.protostructure for s in iterate(model, 4000, seed=5)])
    met = np.array([p.n_atoms <= 20 for p in free_columns])
    weight, many = weigh(free_columns), np.diff(free_columns.offset) > 2
    expected = (weight * many)[met].sum() / weight[met].sum()
    n_tokens = found.batch.n_tokens().numpy()
    assert (n_tokens > 2).mean() == pytest.approx(expected, abs=0.06)
    assert abs(many[met].mean() - expected) > 0.1
    mean, error = found.probability()
    of_free = weight * met
    assert abs(mean - of_free.mean()) < 4 * np.hypot(error, of_free.std() / len(met) ** 0.5)


def call(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments), "--threads", "1"])


def test_fitted_weights_bring_novelty_to_that_of_held_out_data(run_folder, data, tmp_path):
    out = tmp_path / "weighted.safetensors"
    done = call(run_folder, data, "-o", out, "--samples", "400", "--held-out", "300", "--exact", "0")
    assert done.exit_code == 0, done.output
    assert "% of the samples stay" in done.stderr
    assert "30 test materials" in done.stderr
    model = load_model(out)
    kept = list(iterate(model, 120, seed=6, reweight=True))
    materials = list(small_materials(N)[0])
    known = model.reference.knows_labels(format_label(p.canonical()) for p in materials[N - 330 : N - 30])
    assert (kinds(kept) == Novelty.KNOWN).mean() == pytest.approx(known.mean(), abs=0.12)
    scores = Scorer(model, exact=0, repeats=4).score([s.protostructure for s in kept[:20]])
    groups = np.array([s.protostructure.space_group.number for s in kept[:20]])
    weights = model.checkpoint.reweighting.density_ratio(groups, kinds(kept[:20]), np.array([s.bits for s in scores]))
    assert [s.reweighted_bits for s in scores] == pytest.approx([s.bits for s in scores] - np.log2(weights))
    assert Scorer(model, exact=2).score([kept[0].protostructure])[0].reweighted_bits is None


def test_without_a_name_the_runs_own_checkpoint_gets_the_weights(run_folder, data, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    for file in run_folder.iterdir():
        if file.is_file():
            (folder / file.name).write_bytes(file.read_bytes())
    assert call(folder, data, "--samples", "100", "--held-out", "100", "--exact", "0").exit_code == 0
    before, after = (read_checkpoint(f / "best.safetensors") for f in (run_folder, folder))
    assert before.reweighting is None
    assert after.reweighting is not None
    assert all(torch.equal(before.ema[name], after.ema[name]) for name in before.ema)


def test_data_that_the_model_was_not_trained_on_is_refused(run_folder, tmp_path):
    done = call(run_folder, dataset_file(tmp_path, seed=1))
    assert done.exit_code == 1
    assert "is not what the model was trained on" in done.stderr


def test_free_samples_are_reweighted_where_the_model_has_weights_and_others_are_not(run_folder):
    model, own = weighted(run_folder), load_model(run_folder)
    assert list(iterate(model, 20, seed=7)) == list(iterate(model, 20, seed=7, reweight=True))
    assert list(iterate(own, 20, seed=7)) == list(iterate(model, 20, seed=7, reweight=False))
    conditioned = {"max_atoms": 12, "seed": 7}
    assert list(iterate(model, 8, **conditioned)) == list(iterate(own, 8, **conditioned))
    assert list(iterate(model, 8, **conditioned)) != list(iterate(model, 8, **conditioned, reweight=True))


def test_a_model_without_weights_says_how_it_gets_them(run_folder):
    with pytest.raises(WyckoffkitError, match=r"reference_model\.reweight"):
        next(iterate(load_model(run_folder), 1, reweight=True))


def test_the_end_of_what_can_be_found_is_told(run_folder, monkeypatch):
    monkeypatch.setattr(free, "MOST_IN_VAIN", 2000)
    model = load_model(run_folder)
    group = int(model.space_group_law.argmax())
    drawn = iterate(model, 10**6, distinct=True, space_groups=[group], batch_size=256)
    next(drawn)
    monkeypatch.setattr(free, "fingerprint", lambda label: 0)
    with pytest.raises(WyckoffkitError, match="ask for fewer"):
        list(drawn)


@pytest.mark.parametrize("options", [{"distinct": True}, {"reweight": True}, {"reweight": True, "distinct": True}])
def test_an_interrupted_file_continues_to_the_same_samples(run_folder, tmp_path, monkeypatch, options):
    path = tmp_path / "weighted.safetensors"
    write_checkpoint(path, replace(read_checkpoint(run_folder / "best.safetensors"), reweighting=KNOWN_AND_NEW))
    write_reference(tmp_path / "weighted.reference.safetensors", read_reference(run_folder / "reference.safetensors"))

    def draw(out, **extra):
        text = io.StringIO()
        console = Console(file=text, width=1000)
        command.run(path, 150, out, console=console, batch_size=32, **options, **extra)
        return text.getvalue()

    told = draw(tmp_path / "whole.txt")
    assert ("passed over as repeated" in told) == ("distinct" in options)
    assert "passed over by weight" in told  # without --own-law too
    write, calls = command.FileWriter.write, []

    def interrupted(self, samples, counts):
        write(self, samples, counts)
        calls.append(len(samples))
        if len(calls) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(command.FileWriter, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        draw(tmp_path / "halves.txt")
    monkeypatch.setattr(command.FileWriter, "write", write)
    assert draw(tmp_path / "halves.txt").partition("valid")[2] == told.partition("valid")[2] != ""
    lines = [(tmp_path / f"{name}.txt").read_text().split() for name in ("whole", "halves")]
    assert lines[0] == lines[1]
    assert ("distinct" not in options) or len(set(lines[0])) == 150
