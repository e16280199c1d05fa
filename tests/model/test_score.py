"""Bits a material: true to exact laws, and a function of the material and the seed alone."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from enumerated import GROUP, N_MAX, Arbitrary, E, P, batch_of_states, exact_law
from small_materials import small_materials
from typer.testing import CliRunner

from reference_model.checkpoint import Checkpoint, write_checkpoint
from reference_model.config import ModelConfig
from reference_model.model import load_model
from reference_model.network import build_network
from reference_model.reference import build_reference, write_reference
from reference_model.score import Scorer
from reference_model.score.app import app
from wyckoffkit import ProtostructureError, WyckoffkitError, format_label, parse_label
from wyckoffkit.canonical import equivalent_settings
from wyckoffkit.encoding import to_columns

SMALL = {"hidden_size": 16, "n_heads": 2, "n_layers": 1, "n_elements": 20, "max_count": 5}


def materials(n=40):
    columns, _ = small_materials(n)
    return [p.canonical() for p in columns]


def write_model(folder, *, augmentation="profile", **options):
    """An untrained network with a reference pack of the materials beside it."""
    torch.manual_seed(0)
    config = ModelConfig.named("compact", **SMALL, **options)
    known = materials()
    pack = build_reference(to_columns(known), map(format_label, known), n_elements=20, max_count=5)
    checkpoint = Checkpoint(
        config=config,
        weights=build_network(config).state_dict(),
        ema={},
        constrained_prior=torch.nn.functional.one_hot(torch.tensor(0), 21).double(),
        unconstrained_prior=torch.nn.functional.one_hot(torch.tensor(0), 6).double(),
        training={"settings": {"augmentation": augmentation}},
    )
    path = folder / "small.safetensors"
    write_checkpoint(path, checkpoint)
    write_reference(folder / "small.reference.safetensors", pack)
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("jump"))


@pytest.fixture(scope="module")
def model(path):
    return load_model(path)


@pytest.fixture(scope="module")
def d3pm(tmp_path_factory):
    return load_model(write_model(tmp_path_factory.mktemp("d3pm"), objective="d3pm", T=20))


def bits(scores):
    return np.array([s.bits for s in scores])


@pytest.fixture(scope="module")
def toy(model):
    """The enumerated space as a model: p̂(s) is certain, p̂(n | s) the network's own."""
    p_n = np.zeros((231, N_MAX + 1))
    p_n[GROUP] = Arbitrary().n_logits.softmax(0).numpy()
    groups = np.zeros(231, dtype=np.int64)
    groups[GROUP] = 1 << 40
    config = replace(model.checkpoint.config, n_elements=E, max_count=P)
    checkpoint = replace(model.checkpoint, config=config, training={})
    return replace(
        model,
        checkpoint=checkpoint,
        network=Arbitrary(),
        token_law=p_n,
        reference=replace(model.reference, space_group_count=groups),
    )


def canonical_states(every=13):
    columns = batch_of_states(states := list(exact_law())).to_columns()
    kept = [
        i for i in range(0, len(states), every) if columns.protostructure(i).canonical() == columns.protostructure(i)
    ]
    return [states[i] for i in kept], [columns.protostructure(i) for i in kept]


def test_scores_lie_above_the_exact_bits_of_an_enumerable_law(toy):
    states, found = canonical_states()
    scores = Scorer(toy, repeats=60).score(found)
    exact = np.array([-math.log2(exact_law()[state]) for state in states])
    error = np.array([s.bits_error for s in scores])
    assert len(states) > 20
    assert ((bits(scores) - exact) > -5 * error - 1e-4).all()
    assert 0.01 < (bits(scores) - exact).mean() < 3  # this network is no posterior, so the bound is not tight


def test_where_training_drew_settings_the_score_bounds_the_sum_over_them(toy):
    drawn = replace(toy, checkpoint=replace(toy.checkpoint, training={"settings": {"augmentation": "affine"}}))
    _, found = canonical_states(every=29)
    law = dict(zip((p for p in batch_of_states(list(exact_law())).to_columns()), exact_law().values(), strict=True))
    orbits = [equivalent_settings(p, "affine") for p in found]
    exact = np.array([-math.log2(sum(law[q] for q in orbit)) for orbit in orbits])
    scores = Scorer(drawn, repeats=60).score(found)
    error = np.array([s.bits_error for s in scores])
    assert [2**-s.settings_bits for s in scores] == [len(orbit) for orbit in orbits]
    assert max(map(len, orbits)) > 1
    assert ((bits(scores) - exact) > -5 * error - 1e-4).all()


@pytest.mark.parametrize("augmentation", ["none", "affine"])
def test_summing_all_orders_gives_the_enumerated_probability(toy, augmentation):
    model = replace(toy, checkpoint=replace(toy.checkpoint, training={"settings": {"augmentation": augmentation}}))
    _, found = canonical_states()
    law = dict(zip((p for p in batch_of_states(list(exact_law())).to_columns()), exact_law().values(), strict=True))
    orbits = [equivalent_settings(p, "affine") if augmentation == "affine" else (p,) for p in found]
    exact = np.array([-math.log2(sum(law[q] for q in orbit)) for orbit in orbits])
    scores = Scorer(model, exact=N_MAX).score(found, batch_size=32)
    assert np.allclose(bits(scores), exact, atol=1e-4)
    assert all(s.exact and s.bits_error == 0 for s in scores)
    some = Scorer(model, exact=2).score(found)
    assert {s.exact for s in some} == {True, False}
    assert all(math.isclose(a.bits, b.bits, abs_tol=1e-4) for a, b in zip(some, scores, strict=True) if a.exact)


def test_no_state_is_asked_of_the_network_twice(model, monkeypatch):
    asked = []

    def next_token(batch, n_left):
        states = batch.to_columns()
        tokens = np.stack([states.position, states.element, states.count], 1).tolist()
        kept = [str(tokens[a:b]) for a, b in pairwise(states.offset)]
        asked.extend(zip(states.space_group.tolist(), kept, n_left.tolist(), strict=True))
        return whole(batch, n_left)

    network = model.network
    whole = network.next_token
    monkeypatch.setattr(network, "next_token", next_token)
    some = [p for p in materials(200) if len(to_columns([p]).element) <= 3]
    Scorer(model, exact=3).score(some)
    settings = [equivalent_settings(p, "pymatgen") for p in some]
    states = sum((1 << len(to_columns([p]).element)) - 1 for of_one in settings for p in of_one)
    assert len(asked) == len(set(asked)) < 0.9 * states


def test_exact_bits_lie_below_the_bound_of_a_network_for_many_groups(model):
    some = materials(18)
    exact = Scorer(model, exact=4).score(some)
    bound = Scorer(model, repeats=30).score(some)
    assert sum(s.exact for s in exact) > 5
    assert all(b.bits - a.bits > -5 * b.bits_error - 1e-3 for a, b in zip(exact, bound, strict=True) if a.exact)
    assert all(abs(b.bits - a.bits) < 1 + 5 * b.bits_error for a, b in zip(exact, bound, strict=True) if a.exact)


def test_exact_scores_of_a_d3pm_model_are_refused(d3pm):
    with pytest.raises(WyckoffkitError, match="exact scores need a jump model"):
        Scorer(d3pm, exact=2)


@pytest.mark.parametrize("name", ["model", "d3pm"])
def test_every_setting_of_a_material_has_the_same_score(name, request):
    scorer = Scorer(request.getfixturevalue(name), repeats=1)
    for p in materials(9):
        settings = equivalent_settings(p)
        scores = scorer.score(settings)
        assert np.ptp(bits(scores)) < 1e-4
        assert {s.label for s in scores} == {format_label(p)}


@pytest.mark.parametrize("name", ["model", "d3pm"])
def test_scores_depend_on_seed_and_material_but_not_on_batch_or_order(name, request):
    model, some = request.getfixturevalue(name), materials(24)
    scores = bits(Scorer(model, repeats=2).score(some))
    assert (scores == bits(Scorer(model, repeats=2).score(some))).all()
    assert np.allclose(scores, bits(Scorer(model, repeats=2).score(some[::-1], batch_size=5))[::-1], atol=1e-3)
    assert not np.allclose(scores, bits(Scorer(model, repeats=2, seed=1).score(some)), atol=1e-3)


def test_parts_add_up_and_come_from_the_reference_pack(model):
    for p, s in zip(materials(), Scorer(model, repeats=1).score(materials()), strict=True):
        pack, n = model.reference, len(to_columns([p]).element)
        # A group that training lacks counts as half a material.
        n_materials = pack.space_group_count.sum() + 0.5 * (pack.space_group_count[1:] == 0).sum()
        share = pack.space_group_count[p.space_group.number] / n_materials
        assert math.isclose(s.space_group_bits, -math.log2(share))
        assert math.isclose(s.token_count_bits, -math.log2(model.token_law[p.space_group.number, n]))
        assert s.settings_bits == -math.log2(len(equivalent_settings(p)))
        assert math.isclose(s.bits, s.space_group_bits + s.token_count_bits + s.occupation_bits + s.settings_bits)
        assert not s.novel


def test_the_standard_error_is_the_spread_over_seeds(model):
    some = materials(18)
    runs = [Scorer(model, repeats=2, seed=seed).score(some) for seed in range(40)]
    spread = np.array([bits(scores) for scores in runs]).var(0, ddof=1).mean()
    claimed = np.mean([[s.bits_error**2 for s in scores] for scores in runs])
    assert 0.7 < claimed / spread < 1.4


def test_a_material_beyond_the_model_is_named(model):
    with pytest.raises(ProtostructureError, match="atomic number: the model ends at 20, got 55"):
        Scorer(model).score([parse_label("AB_cF8_225_a_b:Cs-F")])


def invoke(*arguments, **options):
    return CliRunner().invoke(app, [str(a) for a in arguments] + ["--threads", "1"], **options)


@pytest.fixture
def labels(tmp_path):
    file = tmp_path / "labels.txt"
    good = [format_label(p) for p in materials(5)]
    file.write_text("\n".join([good[0], "nonsense", "", good[1], "AB_cF8_225_a_a:C-O", *good[2:]]) + "\n")
    return file, good


def test_invalid_lines_are_told_and_the_rest_is_scored_in_order(path, labels):
    file, good = labels
    done = invoke(file, "--checkpoint", path)
    assert done.exit_code == 1
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[2] for row in rows] == good
    assert all(float(row[0]) > 0 and float(row[1]) >= 0 for row in rows)
    assert [line[:7] for line in done.stderr.splitlines()[:2]] == ["line 2:", "line 5:"]
    mean = np.mean([float(row[0]) for row in rows])
    assert f"{mean:.2f} ± " in done.stderr
    assert "over 5 materials" in done.stderr
    assert "2 invalid lines" in done.stderr


def test_sorting_ranks_and_json_holds_the_parts(path, labels):
    file, good = labels
    done = invoke("-", "--checkpoint", path, "--json", "--sort", input=file.read_text())
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(row["label"] for row in rows) == sorted(good)
    assert [row["bits"] for row in rows] == sorted(row["bits"] for row in rows)
    assert {row["line"] for row in rows} == {1, 4, 6, 7, 8}
    assert any(row["exact"] for row in rows)
    bound = invoke("-", "--checkpoint", path, "--json", "--exact", 0, input=good[0])
    assert not json.loads(bound.stdout)["exact"]
    assert set(rows[0]) == {
        *("line", "label", "canonical", "bits", "bits_error", "exact", "novel", "reweighted_bits"),
        *("space_group_bits", "token_count_bits", "occupation_bits", "settings_bits"),
    }


def test_valid_labels_alone_exit_with_0(path):
    done = invoke("-", "--checkpoint", path, input=format_label(materials(1)[0]) + "\n")
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (("missing.txt",), "missing.txt: no such file"),
        (("-",), "no label in it"),
        (("-", "--checkpoint", "missing.safetensors"), "missing.safetensors"),
    ],
)
def test_errors_are_one_sentence(arguments, sentence, path):
    given = arguments if "--checkpoint" in arguments else (*arguments, "--checkpoint", path)
    done = invoke(*given, input="")
    assert done.exit_code == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.output
    assert len(done.stderr.splitlines()) == 1
