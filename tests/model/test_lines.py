"""The lines beside each measure: held-out data at the samples' size, and the training set drawn with replacement."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reference_model.checkpoint import DEFAULT, SHIPPED
from reference_model.evaluate.against import FACTS, WEIGHTS, read_against
from reference_model.evaluate.bits import measure_bits
from reference_model.evaluate.facts import REPEATS, read_facts, write_facts
from reference_model.evaluate.lines import (
    AMONG_NOVEL,
    OF_DISTINCT,
    curves_of_lines,
    held_out_lines,
    measure_facts,
    resampled_lines,
)
from reference_model.evaluate.samples import collect
from reference_model.evaluate.shares import MEMORY, NEW_PROTOTYPES, known_among, shares
from reference_model.evaluate.trainingset import of_samples
from reference_model.extractor.known import KNOWN
from wyckoffkit import CheckpointError, parse_label

MATERIALS = [parse_label(label) for label, _ in KNOWN]


def samples(materials):
    return collect(((i, "", lambda p=p: p) for i, p in enumerate(materials)), "test", "pymatgen")


@pytest.fixture(scope="module")
def training():
    """Thirty known crystals, some of them up to four times."""
    return samples([p for i, p in enumerate(MATERIALS[:30]) for _ in range(1 + i % 4)])


@pytest.fixture(scope="module")
def held_out():
    """Ten of the training data, ten others, each of those twice."""
    return samples(MATERIALS[20:40] + MATERIALS[30:40])


@pytest.fixture(scope="module")
def facts(training, held_out):
    return measure_facts(of_samples(training), training, held_out, extractor=None)


def test_the_held_out_lines_are_the_measures_of_the_held_out_materials(training, held_out, facts):
    reference = replace(of_samples(training), facts=facts)
    measured = shares(held_out, reference, known_among(held_out, reference))
    for name, estimate in measured.items():
        assert facts.lines[name].to_dict() == pytest.approx(estimate.to_dict()), name
    assert measured["novel"].value == pytest.approx(20 / 30)
    assert facts.lines[MEMORY].value == 1
    assert held_out_lines(facts, 30, 20) == facts.lines


def test_uniqueness_of_held_out_data_is_that_of_as_many_materials(facts):
    assert held_out_lines(facts, 30, 20)["unique"].value == pytest.approx(20 / 30)
    few = held_out_lines(facts, 2, 1)["unique"]
    # Ten pairs among thirty: P(two drawn are one pair) = 10 / C(30, 2).
    assert few.value == round(2 - 10 / 435) / 2
    assert few.n == 2
    assert held_out_lines(facts, 10, 5)["unique"].value > held_out_lines(facts, 30, 20)["unique"].value


def test_what_depends_on_their_number_has_no_line_beside_fewer_samples(facts):
    everything, fewer = held_out_lines(facts, 30, 20), held_out_lines(facts, 30, 5)
    assert set(everything) - set(fewer) == set(AMONG_NOVEL)
    assert set(everything) - set(held_out_lines(facts, 10, 20)) == set(OF_DISTINCT)


def test_the_resampled_lines_are_what_draws_with_replacement_show(training, facts):
    generator = np.random.default_rng(0)
    reference = replace(of_samples(training), facts=facts)
    n, found = 40, []
    for _ in range(150):
        drawn = generator.integers(len(training.labels), size=n)
        found.append(shares(chosen := picked(training, drawn), reference, known_among(chosen, reference)))
    lines = resampled_lines(facts, n)
    assert set(lines) <= set(found[0])
    for name, line in lines.items():
        values = np.array([measured[name].value for measured in found])
        # Five standard errors: one run in a million fails for each line.
        assert abs(values.mean() - line) <= 5 * values.std() / np.sqrt(len(values)) + 1e-12, name
    assert lines["unique"] < held_out_lines(facts, n, n)["unique"].value


def test_the_curves_of_the_lines_end_at_the_lines(facts):
    curves = curves_of_lines(facts, 25)
    assert curves["resampled labels"]["samples"][-1] == curves["held-out labels"]["samples"][-1] == 25
    resampled = 25 * resampled_lines(facts, 25)["unique"]
    assert curves["resampled labels"]["distinct"][-1] == pytest.approx(resampled, abs=0.01)
    held_out = 25 * held_out_lines(facts, 25, 9)["unique"].value
    assert curves["held-out labels"]["distinct"][-1] == pytest.approx(held_out, abs=0.5)
    assert curves_of_lines(facts, 1000)["held-out labels"]["samples"][-1] == 30


def picked(training, rows):
    return replace(
        training,
        columns=training.columns.select(rows),
        labels=tuple(training.labels[i] for i in rows),
        prototypes=tuple(training.prototypes[i] for i in rows),
    )


def test_facts_are_read_back_as_they_were_written(tmp_path, facts):
    write_facts(tmp_path / "facts.safetensors", facts)
    found = read_facts(tmp_path / "facts.safetensors")
    assert found.lines == facts.lines
    assert found.examples == facts.examples
    assert all(np.array_equal(found.repeats[name], facts.repeats[name]) for name in REPEATS)
    assert sum(found.counts_of("training labels")) == found.n == 73


def test_facts_of_another_version_are_one_named_error(tmp_path, facts):
    from reference_model.tensorfile import write_tensors

    write_tensors(tmp_path / "old.safetensors", "evaluation facts", 1, {"held_out": facts.held_out}, {})
    with pytest.raises(CheckpointError, match=r"old\.safetensors"):
        read_facts(tmp_path / "old.safetensors")


def test_new_prototypes_are_counted_among_the_novel_samples_alone(training, facts):
    reference = replace(of_samples(training), facts=facts)
    drawn = samples(MATERIALS[:5] + MATERIALS[30:36] * 2)
    found = shares(drawn, reference, known_among(drawn, reference))[NEW_PROTOTYPES]
    known = set(training.prototypes)
    assert (found.value, found.n) == (len({p for p in drawn.prototypes if p not in known}) / 12, 12)


shipped = pytest.mark.skipif(not (WEIGHTS / FACTS).exists() or not DEFAULT.exists(), reason="nothing is shipped")


@shipped
def test_ten_thousand_draws_from_wbm_with_replacement_repeat_as_predicted():
    facts = read_facts(WEIGHTS / FACTS)
    found = resampled_lines(facts, 10_000)
    # n (n - 1) / 2 pairs, each equal with probability p, take n p / 2 of the n draws away, to first order.
    assert found["unique"] == pytest.approx(1 - 10_000 * found["collision probability"] / 2, abs=2e-3)
    # Were all materials distinct, p were 1 / N; WBM lists some labels several times.
    assert 0.97 < found["unique"] < 1 - 10_000 / (2 * facts.n) < held_out_lines(facts, 10_000, 8000)["unique"].value


@shipped
def test_bits_of_both_sides_are_of_the_labels_that_the_facts_keep(monkeypatch):
    monkeypatch.setattr("reference_model.evaluate.bits.SCORED", 12)
    reference = read_against(None)
    few = {side: labels[:12] for side, labels in reference.facts.examples.items()}
    reference = replace(reference, facts=replace(reference.facts, examples=few))
    drawn = samples([parse_label(label) for label in few["held-out"]])
    found = measure_bits(SHIPPED, drawn, reference, np.random.default_rng(0))
    # The samples are the held-out labels, so are their bits.
    assert found.bits["samples"].value == pytest.approx(found.bits["held-out"].value)
    assert found.differences["held-out less samples"].value == pytest.approx(0, abs=1e-9)
    gap = found.differences["held-out less training"]
    assert gap.value == pytest.approx(found.bits["held-out"].value - found.bits["training"].value)
    assert gap.low < gap.value < gap.high
    assert found.beyond == {"samples": 0, "held-out": 0, "training": 0}
    assert found.note == ""
    # Element 118 is beyond the model, which is counted and said.
    strange = samples([parse_label("AB_cF8_225_a_b:Cl-Og")])
    without = replace(reference, facts=None, labels=reference.labels[:5])
    alone = measure_bits(SHIPPED, strange, without, np.random.default_rng(0))
    assert (alone.bits, alone.beyond) == ({}, {"samples": 1})
    assert alone.note == "the model was trained on other data"
