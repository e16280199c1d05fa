"""Training: a killed run continues as if nothing had happened, and several processes do the work of one."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_materials import small_materials

from reference_model.batch import Batch
from reference_model.checkpoint import Checkpoint, read_checkpoint
from reference_model.config import ModelConfig, TrainConfig
from reference_model.network import build_network
from reference_model.streams import mixed_seed
from reference_model.train.choices import choose
from reference_model.train.data import TrainingData
from reference_model.train.engine import BEST, CHECKPOINT, Run
from reference_model.train.objective import Objective
from reference_model.train.optimiser import Average, moments, rate
from reference_model.train.start import starting_point
from reference_model.transitions import Prior
from wyckoffkit import CheckpointError, WyckoffkitError

MODEL = ModelConfig.named(
    "paper", prior="zeros", hidden_size=8, n_layers=1, embedding_size=4, n_elements=20, max_count=3
)
SETTINGS = TrainConfig(
    steps=8, batch_size=8, augmentation="none", log_steps=3, validations=2, lr=1e-2, bf16=False, checkpoint_minutes=1e9
)


def blank(model=MODEL):
    priors = Prior.zeros(model.n_elements + 1).m, Prior.zeros(model.max_count + 1).m
    return Checkpoint(model, {}, {}, *priors)


def make_run(folder, settings=SETTINGS, model=MODEL, **options):
    columns, _ = small_materials(40, n_elements=model.n_elements)
    data = TrainingData(columns, model.n_elements, settings.batch_size, settings.seed)
    return Run(folder, blank(model), settings, data, **options)


def same_tensors(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class KilledError(Exception):
    pass


@pytest.mark.parametrize("killed_at", [1, 3, 5])
def test_a_run_killed_and_resumed_is_bit_identical_to_an_undisturbed_one(tmp_path, killed_at):
    def validate(network):
        return {"loss": float(next(network.parameters()).sum())}

    undisturbed, records = make_run(tmp_path / "a", log=lambda r: None, validate=validate), []
    undisturbed.log = records.append
    undisturbed.train()

    def kill(fraction, progress):
        if progress.step == killed_at + 1:
            raise KilledError

    # Saved after every step, and killed one step after a save: that step must be done again, not twice.
    settings = replace(SETTINGS, checkpoint_minutes=0)
    resumed_records = []
    first = make_run(tmp_path / "b", settings, tick=kill, log=resumed_records.append, validate=validate)
    with pytest.raises(KilledError):
        first.train()
    second = make_run(tmp_path / "b", settings, log=resumed_records.append, validate=validate)
    assert second.resume()
    assert second.progress.step == killed_at
    resumed_records[:] = [r for r in resumed_records if r["step"] <= killed_at]
    second.train()

    a, b = (read_checkpoint(tmp_path / name / CHECKPOINT) for name in "ab")
    assert same_tensors(a.weights, b.weights)
    assert same_tensors(a.ema, b.ema)
    remembered = [
        {(name, quantity): t for name, quantity, t in moments(run.network, run.optimiser)}
        for run in (undisturbed, second)
    ]
    assert remembered[0]
    assert same_tensors(*remembered)
    timeless = [{k: v for k, v in r.items() if k not in ("seconds", "materials_per_second")} for r in records]
    again = [{k: v for k, v in r.items() if k not in ("seconds", "materials_per_second")} for r in resumed_records]
    assert timeless == again
    assert sorted(p.name for p in (tmp_path / "b").iterdir()) == [BEST, CHECKPOINT, "state-8.safetensors"]


def test_another_seed_gives_other_weights(tmp_path):
    a, b = make_run(tmp_path / "a"), make_run(tmp_path / "b", replace(SETTINGS, seed=1))
    a.train(), b.train()
    assert not same_tensors(a.network.state_dict(), b.network.state_dict())


def test_a_run_resumed_at_its_end_stays_as_it_is(tmp_path):
    make_run(tmp_path).train()
    before = (tmp_path / CHECKPOINT).read_bytes()
    again = make_run(tmp_path)
    assert again.resume()
    assert again.train().step == SETTINGS.steps
    assert (tmp_path / CHECKPOINT).read_bytes() == before


@pytest.mark.parametrize(
    "settings, model, sentence",
    [
        (replace(SETTINGS, lr=0.5), MODEL, "begun with lr = 0.01, now 0.5"),
        (replace(SETTINGS, batch_size=4), MODEL, "begun with batch_size = 8, now 4"),
        (SETTINGS, replace(MODEL, hidden_size=16), "another model configuration"),
    ],
)
def test_a_folder_is_not_continued_with_other_settings(tmp_path, settings, model, sentence):
    make_run(tmp_path, replace(SETTINGS, steps=1)).train()
    with pytest.raises(CheckpointError, match=sentence):
        make_run(tmp_path, replace(settings, steps=1), model).resume()


def test_a_setting_that_a_state_does_not_know_had_its_default(tmp_path, monkeypatch):
    whole = Run.settings.fget
    monkeypatch.setattr(Run, "settings", property(lambda run: {k: v for k, v in whole(run).items() if k != "loss"}))
    make_run(tmp_path, replace(SETTINGS, steps=1)).train()
    monkeypatch.setattr(Run, "settings", property(whole))
    assert make_run(tmp_path, replace(SETTINGS, steps=1)).resume()
    with pytest.raises(CheckpointError, match="begun with loss = cross-entropy, now bound"):
        make_run(tmp_path, replace(SETTINGS, steps=1, loss="bound")).resume()


def test_a_run_may_be_continued_with_another_way_of_logging_and_saving(tmp_path):
    make_run(tmp_path).train()
    assert make_run(tmp_path, replace(SETTINGS, log_steps=1, checkpoint_minutes=3.0)).resume()


def test_a_state_without_its_checkpoint_or_the_reverse_is_told(tmp_path):
    make_run(tmp_path).train()
    (tmp_path / "state-8.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"state-8.safetensors: no such file"):
        make_run(tmp_path).resume()


def test_accumulated_passes_give_the_step_of_one_large_batch_within_rounding(tmp_path):
    """The mean loss over two halves has the gradient of the mean over the whole, with equal noise."""
    run = make_run(tmp_path, replace(SETTINGS, steps=1, accumulate=2, clip=0.0))
    whole = make_run(tmp_path / "whole", replace(SETTINGS, steps=1, clip=0.0))
    questions = run._questions()
    pair = [next(questions), next(questions)]
    sum(run.objective(question) / 2 for question in pair).backward()
    wanted = [p.grad.clone() for p in run.network.parameters()]
    run.step(iter(pair), 0.5)
    for gradient, parameter in zip(wanted, run.network.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    assert whole.passes == 1
    assert run.passes == 2


def _one_of_two(index, folder, store, settings):
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=index, world_size=2)
    records = []
    make_run(folder, settings, log=records.append).train()
    if index == 0:
        (folder / "records.json").write_text(json.dumps(records))
    dist.destroy_process_group()


def test_two_processes_follow_the_loss_curve_of_one_at_the_same_global_batch(tmp_path):
    from torch.multiprocessing import start_processes

    one, records = tmp_path / "one", []
    make_run(one, replace(SETTINGS, accumulate=2, log_steps=1), log=records.append).train()
    two = tmp_path / "two"
    two.mkdir()
    settings = replace(SETTINGS, log_steps=1)
    start_processes(_one_of_two, (two, tmp_path / "store", settings), nprocs=2, start_method="fork")
    curve = json.loads((two / "records.json").read_text())
    assert [r["step"] for r in curve] == [r["step"] for r in records]
    np.testing.assert_allclose([r["loss"] for r in curve], [r["loss"] for r in records], rtol=1e-5)
    a, b = read_checkpoint(one / CHECKPOINT), read_checkpoint(two / CHECKPOINT)
    for name in a.weights:
        torch.testing.assert_close(a.weights[name], b.weights[name], rtol=1e-3, atol=1e-4)


def test_the_loss_falls(tmp_path):
    records = []
    make_run(tmp_path, replace(SETTINGS, steps=60, log_steps=10), log=records.append).train()
    losses = [r["loss"] for r in records]
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize("loss", ["bound", "hybrid"])
@pytest.mark.parametrize("name", ["paper", "compact"])
def test_the_bound_falls_when_it_is_the_loss(tmp_path, name, loss):
    small = {"hidden_size": 16, "n_layers": 1, "n_heads": 2, "n_elements": 20, "max_count": 3}
    model = MODEL if name == "paper" else ModelConfig.named("compact", objective="d3pm", **small)
    records = []
    settings = replace(SETTINGS, steps=40, log_steps=10, loss=loss, hybrid_weight=0.01)
    make_run(tmp_path, settings, model, log=records.append).train()
    assert records[-1]["loss"] < 0.9 * records[0]["loss"]


def test_the_jump_objective_refuses_the_losses_of_d3pm(tmp_path):
    model = ModelConfig.named("compact", objective="jump", hidden_size=16, n_layers=1, n_heads=2, n_elements=20)
    with pytest.raises(CheckpointError, match="'hybrid' belongs to the d3pm objective, not to jump"):
        make_run(tmp_path, replace(SETTINGS, loss="hybrid"), model)
    with pytest.raises(CheckpointError, match="loss is one of cross-entropy, bound, hybrid, got 'elbo'"):
        replace(SETTINGS, loss="elbo")


def test_a_run_stops_early_when_validation_no_longer_improves(tmp_path):
    figures = iter([3.0, 2.0, 2.5, 2.1, 1.0])
    settings = replace(SETTINGS, steps=10, validations=5, patience=2)
    progress = make_run(tmp_path, settings, validate=lambda network: {"bits": next(figures)}).train()
    assert (progress.best, progress.best_step, progress.step) == (2.0, 4, 8)
    assert read_checkpoint(tmp_path / BEST).training["validation"] == {"bits": 2.0}


def test_a_run_asked_to_stop_saves_where_it_is(tmp_path):
    run = make_run(tmp_path)
    run.tick = lambda fraction, progress: setattr(run, "stop_requested", progress.step == 3)
    assert run.train().step == 3
    assert read_checkpoint(tmp_path / CHECKPOINT).training["step"] == 3


def test_a_run_by_the_clock_ends(tmp_path):
    run = make_run(tmp_path, replace(SETTINGS, steps=None, minutes=0.005))
    assert run.train().step > 0
    assert run.seconds() >= 0.3


def test_a_run_by_processor_time_does_not_count_waiting(tmp_path):
    def wait(fraction, progress):
        time.sleep(0.05)

    settings = replace(SETTINGS, steps=None, minutes=0.005, clock="cpu")
    run = make_run(tmp_path, settings, tick=wait)
    progress = run.train()
    assert progress.cpu_seconds >= 0.3
    assert progress.seconds > 0.05 * progress.step


def test_compiling_on_a_cpu_is_refused_with_its_reason(tmp_path):
    with pytest.raises(WyckoffkitError, match=r"compile is for GPUs: .* oneDNN, which torch.compile cannot trace"):
        make_run(tmp_path, replace(SETTINGS, compile=True))


def test_a_run_without_a_budget_is_refused(tmp_path):
    with pytest.raises(WyckoffkitError, match="needs an end"):
        make_run(tmp_path, replace(SETTINGS, steps=None))


def test_a_loss_that_is_not_a_number_ends_the_run_and_leaves_the_checkpoint(tmp_path):
    run = make_run(tmp_path, replace(SETTINGS, log_steps=1))
    with torch.no_grad():
        next(run.network.parameters()).fill_(math.nan)
    with pytest.raises(WyckoffkitError, match="not a number by step 1"):
        run.train()
    assert not (tmp_path / CHECKPOINT).exists()


def test_the_learning_rate_rises_then_falls_along_a_cosine():
    config = TrainConfig(lr=2.0, warmup=0.1, final_lr=0.1)
    assert rate(0.05, config) == pytest.approx(1.0)
    assert rate(0.1, config) == pytest.approx(2.0)
    assert rate(0.55, config) == pytest.approx(2.0 * (0.1 + 0.9 / 2))
    assert rate(1.0, config) == pytest.approx(0.2)
    rates = [rate(f, config) for f in np.linspace(0.1, 1, 50)]
    assert rates == sorted(rates, reverse=True)


def test_the_average_follows_its_recurrence():
    torch.manual_seed(0)
    network, copy = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    average = Average(network, copy, decay=0.5)
    expected = network.weight.detach().clone()
    for step in range(10):
        with torch.no_grad():
            network.weight += 1
        average.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * network.weight.detach()
    torch.testing.assert_close(copy.weight, expected)


def test_seeds_of_neighbours_differ():
    seeds = {mixed_seed(a, b) for a in range(50) for b in range(50)}
    assert len(seeds) == 2500
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize(
    "name, objective, loss",
    [
        *((name, "d3pm", loss) for name in ("paper", "compact") for loss in ("cross-entropy", "hybrid")),
        ("compact", "jump", "cross-entropy"),
    ],
)
def test_a_loss_asks_nothing_of_the_device_and_lets_nothing_fall_back(name, objective, loss):
    """On the meta device a value that the host would wait for is an error, and so is a tensor left on the CPU."""
    model = ModelConfig.named(
        name, objective=objective, prior="zeros", hidden_size=8, n_layers=1, n_heads=2, n_elements=20, max_count=3
    )
    columns, _ = small_materials(12)
    batch = Batch.from_columns(columns, n_elements=20)
    with torch.device("meta"):
        network = build_network(model)
    losses = Objective(network, blank(model), "material", count_share=0.25, loss=loss, hybrid_weight=0.01)
    question = losses.ask(batch, torch.Generator().manual_seed(0))
    loss = losses(question.to(torch.device("meta")))
    assert loss.device.type == "meta"
    loss.backward()
    used = [p.grad.device.type for p in network.parameters() if p.grad is not None]
    assert set(used) == {"meta"}


def test_a_run_that_is_initialised_begins_with_the_averaged_weights_of_that_checkpoint(tmp_path):
    first = make_run(tmp_path / "first")
    first.train()
    begun = read_checkpoint(tmp_path / "first" / CHECKPOINT)
    second = make_run(tmp_path / "second", replace(SETTINGS, seed=7))
    assert not same_tensors(dict(second.network.state_dict()), begun.ema)
    second.initialise(begun)
    assert same_tensors(dict(second.network.state_dict()), begun.ema)
    assert same_tensors(dict(second.average.network.state_dict()), begun.ema)


def test_a_checkpoint_of_another_model_cannot_start_a_run_and_the_options_are_named(tmp_path):
    make_run(tmp_path).save()
    path = tmp_path / CHECKPOINT
    assert starting_point(path, read_checkpoint(path), MODEL).config == MODEL
    with pytest.raises(CheckpointError, match=r"cannot start this run, its model has hidden_size 8 \(not 16\)"):
        starting_point(path, read_checkpoint(path), replace(MODEL, hidden_size=16))
    model, settings = choose(None, {}, {"steps": 3}, [], path)
    assert (model, settings.steps) == (MODEL, 3)
