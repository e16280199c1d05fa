"""Conditions through the command and the shipped model: they hold, they resume, and what cannot be met is said."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

from reference_model.conditioning import Request
from reference_model.model import load_model
from reference_model.sample import filters, sample
from reference_model.sample.app import app
from reference_model.sample.conditioned import Fulfilment, iterate_request
from wyckoffkit import WyckoffkitError, parse_label
from wyckoffkit.collapse import collapses
from wyckoffkit.encoding import to_columns


@pytest.fixture(scope="module")
def model():
    return load_model()


def command(*arguments):
    return CliRunner().invoke(app, ["-n", "10", "--threads", "1", *map(str, arguments)])


def energy(label):
    return filters.predicted_energy(to_columns([parse_label(label)]))[0]


def elements(label):
    return set(parse_label(label).composition)


def is_formula(label, **wanted):
    found = parse_label(label)
    units = found.n_atoms // sum(wanted.values())
    return found.composition == {element: units * n for element, n in wanted.items()}


def on_centres(label):
    return {orbit.element for orbit in parse_label(label).orbits if orbit.letter in "ab"}


@pytest.mark.parametrize(
    "options, holds",
    [
        (("--chemical-system", "Li-Mn-O"), lambda x: elements(x) == {"Li", "Mn", "O"}),
        (("--elements", "Li,O,Fe", "--require", "Li"), lambda x: "Li" in elements(x) <= {"Li", "O", "Fe"}),
        (("--forbid", "O,F"), lambda x: not elements(x) & {"O", "F"}),
        (("--max-atoms", 8), lambda x: parse_label(x).n_atoms <= 8),
        (("--composition", "LiMn2O4", "--space-group", 227), lambda x: is_formula(x, Li=1, Mn=2, O=4) and "_227_" in x),
        (("--composition", "NaCl", "--space-group", 225), lambda x: is_formula(x, Na=1, Cl=1) and "_225_" in x),
        (("--prototype", "ABC3_cP5_221_a_b_c"), lambda x: str(parse_label(x).prototype()) == "ABC3_cP5_221_a_b_c"),
        # The centres a and b of Fm-3m change places in another setting.
        (("--sites", "a=Ca,b=O", "--space-group", 225), lambda x: on_centres(x) == {"Ca", "O"} and "_225_" in x),
        (("--e-form", "-2..-1", "--forbid", "O"), lambda x: -2 <= energy(x) <= -1 and "O" not in elements(x)),
        (("--no-collapse", "--novel-only"), lambda x: not collapses(parse_label(x))),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_condition_holds_in_every_label(options, holds):
    done = command(*options)
    assert done.exit_code == 0, done.output
    labels = done.stdout.split()
    assert len(labels) == 10
    assert all(holds(label) for label in labels)
    assert "the request is met by 100.0 % of the samples" in done.stderr.replace("\n", " ")


def test_samples_go_on_where_they_stopped(model):
    request = Request.of(elements="Ti,O,Sr", require="O")
    whole = [s.label for s in iterate_request(model, 20, request, seed=4)]
    again = [s.label for s in iterate_request(model, 11, request, seed=4)]
    rest = [s.label for s in iterate_request(model, 9, request, seed=4, first=11)]
    assert again + rest == whole


def test_the_probability_of_a_request_is_the_share_of_free_samples_that_meet_it(model):
    from reference_model.sample.draw import iterate

    fulfilment = Fulfilment()
    list(iterate_request(model, 64, Request.of(require="O"), seed=1, fulfilment=fulfilment))
    estimate = sum(fulfilment.probability) / len(fulfilment.probability)
    share = sum("O" in elements(s.label) for s in iterate(model, 1500, seed=2)) / 1500
    # Over seeds the estimate (near 0.11) varies by 0.006. Five standard errors: a false alarm in two million runs.
    error = np.hypot(0.006, np.sqrt(share * (1 - share) / 1500))
    assert abs(estimate - share) < 5 * error < share / 2


@pytest.mark.parametrize(
    "options, sentence",
    [
        (("--composition", "LiMn2O4", "--forbid", "O"), "not allowed"),
        (("--elements", "Xx"), "not the symbol of an element"),
        (("--space-group", 225, "--sites", "z=Ca"), "no room for these sites"),
        (("--elements", "Li", "--sampler", "ancestral"), "jump sampler"),
        (("--prototype", "nonsense"), "parts"),
        (("--e-form", "low"), "a formation energy is '< -1'"),
        (("--e-form", "< -1", "--guidance", 2), "guidance steers towards a number"),
        (("--guidance", 2), "give a number"),
    ],
)
def test_what_cannot_be_met_is_one_sentence(options, sentence):
    done = command(*options)
    assert done.exit_code == 1
    assert done.stdout == ""
    assert sentence in done.stderr.replace("\n", " ")


def test_novelty_is_asked_of_the_reference_pack(model):
    drawn = list(iterate_request(model, 20, Request.of(max_atoms=6), seed=3))
    assert filters.novel(model)(to_columns([s.protostructure for s in drawn])).tolist() == [s.novel for s in drawn]


def test_a_model_without_the_jump_objective_is_refused(model):
    from dataclasses import replace

    checkpoint = replace(model.checkpoint, config=replace(model.checkpoint.config, objective="d3pm"))
    with pytest.raises(WyckoffkitError, match="jump objective"):
        next(iterate_request(replace(model, checkpoint=checkpoint), 1, Request.of(max_atoms=6)))


def test_python_gives_the_samples_of_the_command():
    asked = {"elements": "Ti,O,Sr", "require": "O", "space_groups": [221, 225], "novel_only": True}
    ours = [s.label for s in sample(10, **asked, seed=3)]
    done = command(
        "--elements",
        "Ti,O,Sr",
        "--require",
        "O",
        "--space-group",
        221,
        "--space-group",
        225,
        "--novel-only",
        "--seed",
        3,
    )
    assert done.stdout.split() == ours
    with pytest.raises(TypeError, match="element"):
        sample(1, element="O")


def test_energies_are_told_with_the_share_inside_the_range():
    told = " ".join(command("--e-form", "> 0", "--max-atoms", 8).stderr.split())
    assert "formation energy, predicted by the shipped regressor: 0." in told
    assert "in the range asked for 100.0 % of the samples" in told


def test_few_distinct_samples_are_warned_of():
    told = " ".join(command("--chemical-system", "Ac-Os-Si", "-n", "40").stderr.split())
    assert "warning: only" in told
    assert "of the 40 samples are distinct" in told
    assert "warning" not in command("--require", "O").stderr
