"""Every option of a program of the model reaches the function that does the work."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer.main
from given_to_work import Command, check_option, options_of

from reference_model.evaluate.app import app as evaluate
from reference_model.evaluate.prepare import app as prepare
from reference_model.export import app as export
from reference_model.extractor.train import app as train_extractor
from reference_model.reweight.app import app as reweight
from reference_model.sample.app import app as sample
from reference_model.score.app import app as score
from reference_model.train.app import app as train

COMMANDS = {
    "train": Command(
        train,
        ["x.h5", "-o", "run", "--threads", "1"],
        "reference_model.train.start:train",
        {
            "--out": ("other", "folder", Path("other")),
            "--config": ("paper", "model.name", "paper"),
            "--objective": ("d3pm", "model.objective", "d3pm"),
            "--prior": ("marginal", "model.prior", "marginal"),
            "--condition": ("band_gap", "model.condition", "band_gap"),
            "--minutes": ("3", "config.minutes", 3.0),
            "--clock": ("cpu", "config.clock", "cpu"),
            "--epochs": ("4", "config.epochs", 4.0),
            "--steps": ("5", "config.steps", 5),
            "--batch-size": ("6", "config.batch_size", 6),
            "--accumulate": ("7", "config.accumulate", 7),
            "--lr": ("0.08", "config.lr", 0.08),
            "--ema": ("0.9", "config.ema", 0.9),
            "--loss": ("bound", "config.loss", "bound"),
            "--weighting": ("variable", "config.weighting", "variable"),
            "--augmentation": ("affine", "config.augmentation", "affine"),
            "--validations": ("10", "config.validations", 10),
            "--patience": ("11", "config.patience", 11),
            "--seed": ("12", "config.seed", 12),
            "--bf16": (None, "config.bf16", True),
            "--no-bf16": (None, "config.bf16", False),
            "--compile": (None, "config.compile", True),
            "--set": ("train.clip=0.5", "config.clip", 0.5),
            "--device": ("cuda:1", "device", "cuda:1"),
            "--tensorboard": (None, "tensorboard", True),
        },
        frozenset({"--threads", "--initialise"}),  # below, and test_train.py
    ),
    "sample": Command(
        sample,
        ["model", "--threads", "1"],
        "reference_model.sample.command:run",
        {
            "--out": ("x.txt", "out", Path("x.txt")),
            "--seed": ("7", "seed", 7),
            "--sampler": ("count-head", "sampler", "count-head"),
            "--steps": ("8", "n_steps", 8),
            "--batch-size": ("9", "batch_size", 9),
            "--space-group": ("62", "space_groups", [62]),
            "--novel-only": (None, "novel_only", True),
            "--exclude-training": (None, "novel_only", True),
            "--reweight": (None, "reweight", True),
            "--own-law": (None, "reweight", False),
            "--distinct": (None, "distinct", True),
            "--elements": ("Li,O", "conditions.elements", "Li,O"),
            "--require": ("O", "conditions.require", "O"),
            "--forbid": ("F", "conditions.forbid", "F"),
            "--chemical-system": ("Li-O", "conditions.chemical_system", "Li-O"),
            "--composition": ("Li2O", "conditions.composition", "Li2O"),
            "--anonymous": ("A2B", "conditions.anonymous", "A2B"),
            "--max-atoms": ("10", "conditions.max_atoms", 10),
            "--sites": ("a=Ca", "conditions.sites", "a=Ca"),
            "--prototype": ("AB_cF8_225_a_b", "conditions.prototype", "AB_cF8_225_a_b"),
            "--no-collapse": (None, "conditions.no_collapse", True),
            "--charge-neutral": (None, "conditions.charge_neutral", True),
            "--e-form": ("< -1", "conditions.e_form", "< -1"),
            "--guidance": ("2", "conditions.guidance", 2.0),
            "--force": (None, "force", True),
            "--device": ("cuda:1", "device", "cuda:1"),
        },
        frozenset({"--threads"}),
    ),
    "evaluate": Command(
        evaluate,
        ["samples.txt"],
        "reference_model.evaluate.asked:evaluate",
        {
            "--reference": ("samples.txt", "reference", Path("samples.txt")),
            "--extractor": ("samples.txt", "extractor", Path("samples.txt")),
            "--norm": ("post", "norm", "post"),
            "--model": ("shipped", "model", Path("shipped")),
            "--no-fwd": (None, "fwd", False),
            "--symprec": ("0.02", "symprec", 0.02),
            "--no-symprec-sweep": (None, "symprec_sweep", False),
            "--seconds": ("3", "seconds", 3.0),
            "--seed": ("7", "seed", 7),
        },
        frozenset({"--fwd", "--symprec-sweep", "--json", "--report", "--compare"}),  # test_evaluate.py, test_report.py
    ),
    "evaluate.prepare": Command(
        prepare,
        ["x.h5", "-o", "weights"],
        "reference_model.evaluate.prepare:prepare",
        {
            "--output": ("other", "output", Path("other")),
            "--extractor": ("w.safetensors", "extractor", Path("w.safetensors")),
        },
    ),
    "score": Command(
        score,
        ["samples.txt", "--threads", "1"],
        "reference_model.score.command:run",
        {
            "--checkpoint": ("model", "checkpoint", Path("model")),
            "--json": (None, "json_lines", True),
            "--sort": (None, "sort", True),
            "--repeats": ("5", "repeats", 5),
            "--seed": ("7", "seed", 7),
            "--exact": ("3", "exact", 3),
            "--calibration": ("c.json", "calibration_file", Path("c.json")),
            "--batch-size": ("9", "batch_size", 9),
            "--device": ("cuda:1", "device", "cuda:1"),
        },
        frozenset({"--threads"}),
    ),
    "reweight": Command(
        reweight,
        ["run", "x.h5", "--threads", "1"],
        "reference_model.reweight.command:run",
        {
            "--out": ("w.safetensors", "out", Path("w.safetensors")),
            "--held-out": ("500", "held_out", 500),
            "--samples": ("600", "n_samples", 600),
            "--bins": ("3", "bins", 3),
            "--exact": ("2", "exact", 2),
            "--seed": ("7", "seed", 7),
            "--device": ("cuda:1", "device", "cuda:1"),
        },
        frozenset({"--threads"}),
    ),
    "export": Command(
        export,
        ["run", "-o", "w.safetensors"],
        "reference_model.export:export",
        {
            "--out": ("other.safetensors", "out", Path("other.safetensors")),
            "--title": ("Ours", "title", "Ours"),
            "--threads": ("a cluster", "threads", "a cluster"),
            "--half": (None, "half", True),
            "--evaluation": ("e.json", "evaluations", [Path("e.json")]),
            "--earlier": ("before", "earlier", [Path("before")]),
            "--notes": ("samples.txt", "notes", "AB_cF8_225_a_b:Ca-O\n"),
        },
    ),
    "extractor.train": Command(
        train_extractor,
        ["--wbm", "x.csv", "-o", "run"],
        "reference_model.extractor.trainer:train_extractor",
        {
            "--wbm": ("y.csv", "wbm", Path("y.csv")),
            "--output": ("other", "output", Path("other")),
            "--wren": ("wren.csv", "wren", Path("wren.csv")),
            "--minutes": ("3", "minutes", 3.0),
            "--layers": ("2", "layers", 2),
            "--licence": ("CC0", "licence", "CC0"),
        },
    ),
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The file that the words name, in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("samples.txt").write_text("AB_cF8_225_a_b:Ca-O\n")


@pytest.mark.parametrize(
    "name, option", [(name, option) for name, found in COMMANDS.items() for option in found.options]
)
def test_an_option_reaches_the_work_and_is_not_its_default(name, option):
    check_option(COMMANDS[name], option)


@pytest.mark.parametrize("name", COMMANDS)
def test_no_option_is_missing_above(name):
    parser = typer.main.get_command(COMMANDS[name].app)
    assert options_of(parser) == {*COMMANDS[name].options, *COMMANDS[name].elsewhere}


def test_the_checkpoint_to_start_from_reaches_the_training():
    given = COMMANDS["train"].given("--config", "compact", "--initialise", "other.safetensors")
    assert given["initialise"] == Path("other.safetensors")


def test_the_number_of_samples_is_the_one_asked_for():
    assert COMMANDS["sample"].given("-n", "13")["n"] == 13
