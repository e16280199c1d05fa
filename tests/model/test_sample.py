"""From a dataset file through training to samples: by the commands' own functions, on a small model."""

from __future__ import annotations

import csv
import importlib
import inspect
import io
import json
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from rich.console import Console
from small_materials import write_small_dataset

from reference_model.config import ModelConfig, TrainConfig
from reference_model.evaluate.samples import read_samples
from reference_model.model import load_model
from reference_model.sample import Conditions, command, iterate, sample
from reference_model.sample.draw import draw_from, has_label
from reference_model.train import train
from wyckoffkit import CheckpointError, WyckoffkitError, format_label, parse_label
from wyckoffkit.dataset import read_dataset
from wyckoffkit.encoding import WyckoffColumns, to_columns

SMALL = {"hidden_size": 16, "n_heads": 2, "n_layers": 1, "n_elements": 20, "max_count": 5}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "small.h5"
    return write_small_dataset(path, [0] * 160 + [1] * 20, attributes={"licence": "CC0"})


def trained(dataset, folder, model):
    config = TrainConfig(steps=60, batch_size=32, lr=1e-2, validations=2, bf16=False, log_steps=20)
    train(dataset, folder, model, config)
    return folder


@pytest.fixture(scope="module")
def jump_run(dataset, tmp_path_factory):
    return trained(dataset, tmp_path_factory.mktemp("jump"), ModelConfig.named("compact", **SMALL))


@pytest.fixture(scope="module")
def d3pm_run(dataset, tmp_path_factory):
    model = ModelConfig.named("compact", **SMALL, objective="d3pm", T=50)
    return trained(dataset, tmp_path_factory.mktemp("d3pm"), model)


@pytest.fixture(scope="module")
def marginal_run(dataset, tmp_path_factory):
    model = ModelConfig.named("compact", **SMALL, objective="d3pm", T=50, prior="marginal")
    return trained(dataset, tmp_path_factory.mktemp("marginal"), model)


def labels_of(samples):
    return [s.label for s in samples]


def call(checkpoint, n, out, **options):
    """What the command does, and its console text."""
    text = io.StringIO()
    command.run(checkpoint, n, out, console=Console(file=text, width=1000), **options)
    return text.getvalue()


def test_a_run_leaves_its_checkpoints_pack_and_log(jump_run):
    names = sorted(p.name for p in jump_run.iterdir())
    assert names == [
        "best.safetensors",
        "checkpoint.safetensors",
        "log.jsonl",
        "reference.safetensors",
        "state-60.safetensors",
    ]
    records = [json.loads(line) for line in (jump_run / "log.jsonl").read_text().splitlines()]
    assert [r["step"] for r in records if "loss" in r] == [20, 40, 60]
    bits = [r["validation"]["bits"] for r in records if "validation" in r]
    assert len(bits) == 2
    assert max(bits) < 40


def test_provenance_travels_with_the_weights(jump_run, dataset):
    import hashlib

    checkpoint = load_model(jump_run).checkpoint
    assert checkpoint.dataset["sha256"] == hashlib.sha256(dataset.read_bytes()).hexdigest()
    assert checkpoint.dataset["licence"] == "CC0"
    assert checkpoint.dataset["training_materials"] == 160
    assert checkpoint.profile == "pymatgen"


def test_samples_are_canonical_labels_with_their_novelty(jump_run, dataset):
    known = set(read_dataset(dataset).label[:160].tolist())
    prototypes = {str(parse_label(label).prototype()) for label in known}
    samples = sample(60, jump_run, seed=1)
    assert [s.number for s in samples] == list(range(60))
    for s in samples:
        assert parse_label(s.label) == s.protostructure
        assert format_label(s.protostructure.canonical()) == s.label
        assert s.novel == (s.label not in known)
        assert s.novel_prototype == (s.prototype not in prototypes)


def test_a_trained_model_gives_mostly_prototypes_of_its_training_set(jump_run):
    """The negative control is the untrained network, whose prototypes are nearly all new."""
    trained_model = load_model(jump_run)
    share = np.mean([s.novel_prototype for s in iterate(trained_model, 100)])
    torch.manual_seed(0)
    from reference_model.network import build_network

    untrained = replace(trained_model, network=build_network(trained_model.checkpoint.config).eval())
    control = np.mean([s.novel_prototype for s in iterate(untrained, 100)])
    assert share < 0.5 < control


@pytest.mark.parametrize("sampler", ["jump", "count-head"])
def test_a_sample_does_not_depend_on_the_batch_it_is_drawn_in(jump_run, sampler):
    model = load_model(jump_run)
    whole = labels_of(iterate(model, 40, seed=3, sampler=sampler))
    assert labels_of(iterate(model, 40, seed=3, sampler=sampler, batch_size=7)) == whole
    assert labels_of(iterate(model, 15, seed=3, sampler=sampler, first=25)) == whole[25:]
    assert labels_of(iterate(model, 40, seed=4, sampler=sampler)) != whole


@pytest.mark.parametrize("sampler", ["first-hitting", "strided", "ancestral"])
def test_a_diffusion_sample_does_not_depend_on_the_batch_it_is_drawn_in(d3pm_run, sampler):
    model = load_model(d3pm_run)
    whole = labels_of(iterate(model, 20, seed=3, sampler=sampler, n_steps=10))
    assert labels_of(iterate(model, 20, seed=3, sampler=sampler, n_steps=10, batch_size=6)) == whole


def test_the_marginal_prior_is_sampled_in_strides(marginal_run):
    model = load_model(marginal_run)
    assert len(list(iterate(model, 5, n_steps=10))) == 5
    with pytest.raises(WyckoffkitError, match="first hitting needs the zeros prior, this model has marginal"):
        next(iterate(model, 5, sampler="first-hitting"))


def test_a_sampler_that_does_not_fit_the_objective_is_refused(jump_run, d3pm_run):
    for folder, sampler in ((jump_run, "ancestral"), (d3pm_run, "jump")):
        with pytest.raises(WyckoffkitError, match="does not fit a model trained with"):
            next(iterate(load_model(folder), 1, sampler=sampler))
    with pytest.raises(WyckoffkitError, match="samplers are auto, ancestral"):
        next(iterate(load_model(jump_run), 1, sampler="best"))


def test_space_groups_are_those_asked_for(jump_run):
    model = load_model(jump_run)
    assert {s.protostructure.space_group.number for s in iterate(model, 30, space_groups=[225])} == {225}
    both = {s.protostructure.space_group.number for s in iterate(model, 60, space_groups=[225, 166])}
    assert both == {225, 166}
    # Group 47 is not in the training set; it is still a legal condition.
    assert {s.protostructure.space_group.number for s in iterate(model, 3, space_groups=[47])} == {47}
    with pytest.raises(WyckoffkitError, match="numbered 1 to 230, got"):
        next(iterate(model, 1, space_groups=[0]))


def test_space_groups_follow_those_of_the_training_set(jump_run):
    """Chi-square against p̂(s), false-alarm rate 1e-6; uniform groups must fail."""
    from scipy.stats import chisquare

    model = load_model(jump_run)
    drawn = np.bincount([s.protostructure.space_group.number for s in iterate(model, 400)], minlength=231)
    law = model.reference.space_group_probability
    groups = law > 0
    assert drawn[~groups].sum() == 0
    assert chisquare(drawn[groups], 400 * law[groups]).pvalue > 1e-6
    skewed = law[groups] ** 3 / (law[groups] ** 3).sum()
    assert chisquare(drawn[groups], 400 * skewed).pvalue < 1e-6


def test_novel_only_passes_over_the_training_set(jump_run):
    model = load_model(jump_run)
    wanted = [s.number for s in iterate(model, 300) if s.novel]
    found = [s.number for s in iterate(model, min(20, len(wanted)), novel_only=True, batch_size=32)]
    assert found == wanted[:20]


def test_classes_are_drawn_by_inversion():
    law = np.array([0.0, 0.25, 0.0, 0.75, 0.0])
    assert draw_from(law, np.array([0.0, 0.2499, 0.25, 0.999999999])).tolist() == [1, 1, 3, 3]
    rows = np.array([[0, 1.0], [0.5, 0.5]])
    assert draw_from(rows, np.array([0.0, 0.5])).tolist() == [1, 1]


def test_materials_without_atoms_or_with_too_many_elements_have_no_label():
    crowd = to_columns([parse_label("AB_cF8_225_a_b:Ca-O")])
    many = WyckoffColumns(
        np.array([1, 1, 1], np.uint8),
        np.array([0, 0, 53, 105]),
        np.zeros(105, np.uint8),
        np.concatenate([np.arange(1, 54), np.arange(1, 53)]).astype(np.uint8),
        np.ones(105, np.uint8),
    )
    assert has_label(crowd).tolist() == [True]
    assert has_label(many).tolist() == [False, False, True]
    assert len(format_label(many.protostructure(2)).partition(":")[2].split("-")) == 52


def test_every_form_of_output_holds_the_same_samples(jump_run, tmp_path, capsys):
    wanted = labels_of(iterate(load_model(jump_run), 12, seed=5))
    call(jump_run, 12, None, seed=5)
    assert capsys.readouterr().out.splitlines() == wanted
    for suffix in ("txt", "csv", "jsonl", "h5"):
        call(jump_run, 12, tmp_path / f"x.{suffix}", seed=5, batch_size=5)
    assert (tmp_path / "x.txt").read_text().splitlines() == wanted
    with open(tmp_path / "x.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [r["label"] for r in rows] == wanted
    lines = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert [r["label"] for r in lines] == wanted
    assert [int(r["novel"]) for r in rows] == [int(r["novel"]) for r in lines]
    assert read_dataset(tmp_path / "x.h5").label.tolist() == wanted
    for suffix in ("txt", "csv", "jsonl", "h5"):  # what is to be evaluated next
        assert list(read_samples(tmp_path / f"x.{suffix}").labels) == wanted
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.csv", "x.h5", "x.jsonl", "x.txt"]


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("suffix", ["txt", "csv", "jsonl"])
@pytest.mark.parametrize("novel_only", [False, True])
def test_an_interrupted_command_continues_to_the_same_file(jump_run, tmp_path, monkeypatch, suffix, novel_only):
    options = {"seed": 6, "batch_size": 8, "novel_only": novel_only}
    whole, broken = tmp_path / f"whole.{suffix}", tmp_path / f"broken.{suffix}"
    told = call(jump_run, 20, whole, **options)

    def breaking(*arguments, **keywords):
        for i, item in enumerate(iterate(*arguments, **keywords)):
            if i == 13:
                raise StoppedError
            yield item

    with monkeypatch.context() as patch:
        patch.setattr(command, "iterate", breaking)
        with pytest.raises(StoppedError):
            call(jump_run, 20, broken, **options)
    assert not broken.exists()
    # A half-written line, as a killed process leaves it.
    with open(tmp_path / f".broken.{suffix}.part", "a") as file:
        file.write("AB_cF8_2")
    again = call(jump_run, 20, broken, **options)
    assert broken.read_bytes() == whole.read_bytes()
    assert again.partition("valid")[2] == told.partition("valid")[2]
    assert again.startswith("20 samples, 12 of them now, in ")


def test_unfinished_work_of_another_command_is_not_mixed_in(jump_run, tmp_path, monkeypatch):
    def breaking(*arguments, **keywords):
        yield from list(iterate(*arguments, **keywords))[:4]
        raise StoppedError

    out = tmp_path / "x.txt"
    with monkeypatch.context() as patch:
        patch.setattr(command, "iterate", breaking)
        with pytest.raises(StoppedError):
            call(jump_run, 8, out, batch_size=4)
    with pytest.raises(WyckoffkitError, match="unfinished work of another command"):
        call(jump_run, 8, out, batch_size=4, seed=1)
    call(jump_run, 8, out, batch_size=4, seed=1, force=True)
    assert out.read_text().splitlines() == labels_of(iterate(load_model(jump_run), 8, seed=1))


def test_a_finished_file_is_replaced_only_by_force(jump_run, tmp_path):
    out = tmp_path / "x.txt"
    out.write_text("precious\n")
    with pytest.raises(WyckoffkitError, match="exists; give --force"):
        call(jump_run, 2, out)
    assert out.read_text() == "precious\n"
    call(jump_run, 2, out, force=True)
    assert len(out.read_text().splitlines()) == 2


def test_an_unknown_suffix_is_refused_before_anything_is_drawn(jump_run, tmp_path):
    with pytest.raises(WyckoffkitError, match=r"written as .txt, .csv, .jsonl, .h5"):
        call(jump_run, 10**9, tmp_path / "x.xlsx")


def test_the_figures_count_what_was_written(jump_run, tmp_path):
    text = call(jump_run, 50, tmp_path / "x.csv", seed=2)
    with open(tmp_path / "x.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert text.startswith("50 samples in ")
    assert f"unique {100 * len({r['label'] for r in rows}) / 50:.1f} %" in text
    assert f"novel {100 * sum(int(r['novel']) for r in rows) / 50:.1f} %" in text


def test_conditions_of_python_are_those_of_the_command():
    told = Conditions(elements="Li, Mn,O", require="Li", chemical_system="Li-Mn-O", space_groups=[225])
    listed = Conditions(
        elements=["Li", "Mn", "O"], require=("Li",), chemical_system=["Li", "Mn", "O"], space_groups=225
    )
    assert listed.request == told.request
    assert Conditions(composition={"Li": 1, "Mn": 2, "O": 4}).request == Conditions(composition="LiMn2O4").request


def test_sample_names_every_option_of_iterate_and_every_condition_as_they_do():
    given = dict(inspect.signature(sample).parameters)
    for name in ("n", "checkpoint", "device"):
        del given[name]
    for field in fields(Conditions):
        parameter = given.pop(field.name)
        assert (parameter.annotation, parameter.default) == (field.type, field.default), field.name
    stream = dict(inspect.signature(iterate).parameters)
    for name in ("model", "n", "first", "seen", "tally", "fulfilment", "progress", "conditions"):
        del stream[name]
    assert given == stream


@pytest.mark.parametrize("name", ["sample", "score", "train", "evaluate"])
def test_what_a_package_offers_is_completed_by_a_shell(name):
    module = importlib.import_module(f"reference_model.{name}")
    assert set(module.__all__) <= set(dir(module))
    for offered in module.__all__:
        assert getattr(module, offered).__doc__


def test_weights_that_are_not_shipped_are_missed_in_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr("reference_model.checkpoint.DEFAULT", tmp_path / "none.safetensors")
    with pytest.raises(CheckpointError, match="no shipped weights"):
        load_model()


def test_a_checkpoint_without_its_pack_is_missed_in_a_sentence(jump_run, tmp_path):
    (tmp_path / "lonely.safetensors").write_bytes((jump_run / "best.safetensors").read_bytes())
    with pytest.raises(CheckpointError, match=r"reference.safetensors: no such file"):
        load_model(tmp_path / "lonely.safetensors")


def test_samples_go_into_a_dataset_block_by_block_and_come_back(tmp_path, monkeypatch):
    from reference_model.sample import output

    monkeypatch.setattr(output, "LABELS_A_BLOCK", 3)
    drawn = sample(10, seed=4)
    arguments = {"profile": "pymatgen", "seed": 4}
    writer = output.FileWriter(tmp_path / "x.h5", arguments)
    writer.write(drawn, {})
    writer.finish()
    writer.close()
    found = read_dataset(tmp_path / "x.h5")
    assert found.label.tolist() == [item.label for item in drawn]
    assert found.material_id.tolist() == [f"sample-{i}" for i in range(10)]
    assert [found.columns.protostructure(i) for i in range(10)] == [item.protostructure for item in drawn]
    assert json.loads(found.attributes["sampling"]) == arguments
    assert [path.name for path in tmp_path.iterdir()] == ["x.h5"]
