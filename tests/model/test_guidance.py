"""A property that the network is told: old checkpoints keep their meaning, guidance goes from one law to another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_materials import small_materials, write_small_dataset
from typer.testing import CliRunner

from reference_model.batch import Batch
from reference_model.checkpoint import read_checkpoint
from reference_model.conditioning.guidance import Guided
from reference_model.config import ModelConfig, TrainConfig
from reference_model.model import guided, load_model
from reference_model.network import build_network
from reference_model.sample import iterate
from reference_model.sample.app import app
from reference_model.sample.filters import EnergyRange, parse_energy
from reference_model.train import train
from reference_model.train.data import TrainingData
from wyckoffkit import CheckpointError, DatasetError, WyckoffkitError
from wyckoffkit.encoding import to_columns

SMALL = {"hidden_size": 16, "n_heads": 2, "n_layers": 1, "n_elements": 20, "max_count": 5}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Real labels whose property tells whether hydrogen to carbon (Z ≤ 6) are in them."""
    materials = [p.canonical() for p in small_materials(180)[0]]
    told = [1.0 if any(e in ("H", "He", "Li", "Be", "B", "C") for e in p.composition) else -1.0 for p in materials]
    path = tmp_path_factory.mktemp("data") / "told.h5"
    return write_small_dataset(path, [0] * 160 + [1] * 20, properties={"light": told, "same": [2.0] * 180})


def settings(steps):
    return TrainConfig(steps=steps, batch_size=32, lr=1e-2, validations=1, bf16=False, log_steps=20)


@pytest.fixture(scope="module", params=["jump", "d3pm"])
def run(request, dataset, tmp_path_factory):
    model = ModelConfig.named("compact", **SMALL, condition="light", objective=request.param, T=50)
    train(dataset, folder := tmp_path_factory.mktemp(request.param), model, settings(150))
    return folder


def share_light(samples):
    light = {"H", "He", "Li", "Be", "B", "C"}
    return np.mean([bool(light & set(s.protostructure.composition)) for s in samples])


def test_guidance_moves_samples_to_the_side_asked_for(run):
    """150 samples a side: without any effect both shares would differ by more than 0.3 once in 1e7."""
    model = load_model(run)
    shares = {value: share_light(iterate(model, 150, seed=1, e_form=value, guidance=2.0)) for value in (-1.0, 1.0)}
    assert shares[1.0] - shares[-1.0] > 0.3


def test_guided_samples_do_not_depend_on_their_batch_and_can_be_asked_for_more(run):
    model = load_model(run)
    whole = [s.label for s in iterate(model, 20, seed=3, e_form=1.0)]
    assert [s.label for s in iterate(model, 20, seed=3, e_form=1.0, batch_size=6)] == whole
    if model.checkpoint.config.objective == "jump":
        drawn = list(iterate(model, 10, seed=3, e_form=1.0, max_atoms=12))
        assert all(s.protostructure.n_atoms <= 12 for s in drawn)


def test_strength_0_is_the_law_without_and_1_the_law_with_the_property(run):
    checkpoint = load_model(run).checkpoint
    network, batch = checkpoint.network(), Batch.empty(torch.tensor([225, 62, 1]), 20)
    told = batch.with_condition(torch.full((3,), 1.0, dtype=torch.float64))
    for strength, same in ((0.0, batch), (1.0, told)):
        ours = Guided(network, 1.0, strength)
        if checkpoint.config.objective == "jump":
            n = torch.tensor([2, 3, 4])
            pairs = [(ours.next_token(batch, n), network.next_token(same, n))]
            assert torch.allclose(ours.n_left_logits(batch), network.n_left_logits(same).log_softmax(-1), atol=1e-5)
        else:
            t = torch.tensor([5, 20, 50])
            pairs = [(ours.occupancy(batch, t), network.occupancy(same, t))]
        for left, right in pairs:
            assert torch.allclose(left.constrained, right.constrained, atol=1e-5)
            assert torch.allclose(left.unconstrained, right.unconstrained, atol=1e-5)
    law = torch.rand(231, dtype=torch.float64)
    free = Guided(network, 1.0, 0.0).space_group_law(law, torch.device("cpu"))
    assert torch.allclose(free, law / law.sum())


def test_a_config_without_the_fields_is_that_of_a_model_that_is_told_nothing():
    old = {k: v for k, v in ModelConfig.named("compact").to_dict().items() if not k.startswith("condition")}
    config = ModelConfig.from_dict(old)
    assert config == ModelConfig.named("compact")
    assert not any(name.startswith("condition") for name in build_network(config).state_dict())


def test_a_model_that_is_told_nothing_can_start_one_that_is_and_the_two_agree_at_first(dataset, tmp_path):
    train(dataset, tmp_path / "plain", ModelConfig.named("compact", **SMALL), settings(5))
    start = tmp_path / "plain" / "best.safetensors"
    model = ModelConfig.named("compact", **SMALL, condition="light")
    train(dataset, tmp_path / "told", model, replace(settings(1), lr=1e-9), initialise=start)
    plain, told = (read_checkpoint(path).network() for path in (start, tmp_path / "told" / "best.safetensors"))
    batch, n = Batch.empty(torch.tensor([225, 62]), 20), torch.tensor([2, 3])
    told_batch = batch.with_condition(torch.tensor([1.0, -1.0], dtype=torch.float64))
    for of in (batch, told_batch):
        assert torch.allclose(plain.next_token(batch, n).constrained, told.next_token(of, n).constrained, atol=1e-5)
    with pytest.raises(CheckpointError, match="hidden_size"):
        train(dataset, tmp_path / "other", replace(model, hidden_size=32), settings(1), initialise=start)


@pytest.mark.parametrize("name, sentence", [("mass", "no property 'mass'.*light, same"), ("same", "the same for all")])
def test_a_property_that_tells_nothing_is_refused(dataset, tmp_path, name, sentence):
    with pytest.raises(DatasetError, match=sentence):
        train(dataset, tmp_path / "run", ModelConfig.named("compact", **SMALL, condition=name), settings(1))


def test_the_papers_network_is_told_no_property():
    with pytest.raises(ValueError, match="use architecture compact"):
        ModelConfig.named("paper", condition="light")


def test_materials_carry_their_own_property_into_batches():
    columns = to_columns(small_materials(40)[0])
    values = np.arange(40.0)
    data = TrainingData(columns, 20, 8, 0, None, values)
    for _, (number, batch) in zip(range(5), data.batches(), strict=False):
        assert batch.condition is not None
        assert batch.to_columns() == Batch.from_columns(columns, batch.condition.long(), 20).to_columns(), number


def test_a_model_that_is_told_nothing_names_what_it_can_do_instead():
    done = CliRunner().invoke(app, ["-n", "2", "--e-form", "-2", "--threads", "1"])
    assert done.exit_code == 1
    told = " ".join(done.stderr.split())
    assert "was not trained to be told a formation energy" in told
    assert "--e-form '< -2'" in told
    with pytest.raises(WyckoffkitError, match="not trained to be told"):
        guided(load_model(), -2.0)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("< -1", EnergyRange(-np.inf, -1.0)),
        ("<=-1.5", EnergyRange(-np.inf, -1.5)),
        ("> 0", EnergyRange(0.0, np.inf)),
        ("-2..-1", EnergyRange(-2.0, -1.0)),
        (" -2.5 .. .5 ", EnergyRange(-2.5, 0.5)),
        ("-2", -2.0),
    ],
)
def test_formation_energies_are_ranges_or_numbers(text, expected):
    assert parse_energy(text) == expected


@pytest.mark.parametrize("text", ["", "low", "-1..-2", "< ", "1 2", "<nan", "--1"])
def test_other_text_is_no_formation_energy(text):
    with pytest.raises(WyckoffkitError):
        parse_energy(text)
