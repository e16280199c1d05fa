"""Bad generators must look bad, and held-out data good: the whole evaluation on real materials."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_materials import write_small_dataset
from typer.testing import CliRunner

from reference_model.evaluate.against import FACTS, WEIGHTS, read_against
from reference_model.evaluate.controls import app, random_valid, shuffled_elements
from reference_model.evaluate.measure import evaluate
from reference_model.evaluate.samples import collect
from reference_model.extractor.known import KNOWN
from reference_model.extractor.weights import SHIPPED, read_extractor
from wyckoffkit import CheckpointError, parse_label
from wyckoffkit.dataset import read_dataset
from wyckoffkit.label import format_label

MATERIALS = [parse_label(label) for label, _ in KNOWN]


def test_shuffling_keeps_prototypes_and_nearly_the_share_of_each_element():
    found = shuffled_elements(MATERIALS * 20, np.random.default_rng(0))
    assert [str(p.prototype()) for p in found] == [str(p.prototype()) for p in MATERIALS * 20]
    before, after = (Counter(e for p in each for e in p.occupations) for each in (MATERIALS * 20, found))
    assert sum((before - after).values()) < 0.15 * sum(before.values())
    assert sum(a == b for a, b in zip(found, MATERIALS * 20, strict=True)) < 100


def test_random_labels_are_valid_and_of_all_kinds():
    found = random_valid(2000, np.random.default_rng(1))
    assert all(parse_label(format_label(p)) == p for p in found)
    assert len({p.space_group.number for p in found}) > 220
    assert {len(p.orbits) for p in found} >= {2, 3, 4, 5}


def test_the_command_writes_real_resampled_shuffled_and_random_labels(tmp_path):
    data = write_small_dataset(tmp_path / "small.h5", [0] * 60 + [2] * 20)
    done = CliRunner().invoke(app, [str(data), "-o", str(tmp_path / "out"), "-n", "15", "--seed", "3"])
    assert done.exit_code == 0, done.output
    found = {path.stem: path.read_text().splitlines() for path in (tmp_path / "out").iterdir()}
    assert {name: len(labels) for name, labels in found.items()} == dict.fromkeys(
        ("held-out", "resampled", "shuffled-elements", "random-valid"), 15
    )
    labels = read_dataset(data).label.tolist()
    assert found["held-out"] == labels[60:75]
    assert set(found["resampled"]) <= set(labels[:60])
    prototypes = [[str(parse_label(label).prototype()) for label in found[name]] for name in found]
    of = dict(zip(found, prototypes, strict=True))
    assert of["shuffled-elements"] == of["held-out"] != of["random-valid"]
    assert all(str(parse_label(label).canonical()) == label for name in found for label in found[name])


SHIPPED_FACTS = WEIGHTS / FACTS


@pytest.fixture(scope="module")
def measured():
    """Real labels of WBM, the same with shuffled elements, and random ones, against what is shipped."""
    lines = (Path(__file__).parent / "fixtures" / "wbm_held_out.txt").read_text().splitlines()
    real = [parse_label(line) for line in lines if not line.startswith("#")]
    generator = np.random.default_rng(0)
    extractor = read_extractor()
    reference = read_against(None, extractor=extractor)
    sets = {
        "real": real,
        "shuffled": shuffled_elements(real, generator),
        "random": random_valid(len(real), generator),
    }
    return {
        name: evaluate(
            collect(((i, "", lambda p=p: p) for i, p in enumerate(materials)), name, reference.profile),
            reference,
            extractor=extractor,
        )
        for name, materials in sets.items()
    }


shipped = pytest.mark.skipif(not (SHIPPED.exists() and SHIPPED_FACTS.exists()), reason="no extractor is shipped")


@shipped
def test_real_materials_lie_at_the_floor_and_controls_far_above(measured):
    distance = {name: found.embedding.fwd for name, found in measured.items()}
    assert distance["real"].raw.value < 2 * distance["real"].floor
    for name in ("shuffled", "random"):
        assert distance[name].corrected.low > 5 * max(distance["real"].corrected.high, distance["real"].floor / 5)


@shipped
def test_each_control_fails_where_it_must_and_only_there(measured):
    metrics = {name: found.metrics for name, found in measured.items()}
    js = {
        name: {kind: d.jensen_shannon.value / d.floor for kind, d in found.divergences.items()}
        for name, found in measured.items()
    }
    # Shuffling keeps groups and elements, and breaks their union: labels are new, chemistry is odd.
    assert js["shuffled"]["space group"] < 1.5
    assert js["shuffled"]["element"] < 2
    assert metrics["shuffled"]["novel"].low > metrics["real"]["novel"].high
    assert (
        metrics["shuffled"]["compositions that SMACT accepts"].high
        < metrics["real"]["compositions that SMACT accepts"].low
    )
    # Random labels break all, and many cannot be: they collapse into a supergroup.
    assert js["random"]["space group"] > 2
    assert metrics["random"]["labels that collapse into a supergroup"].low > 0.1
    assert metrics["real"]["labels that collapse into a supergroup"].value == 0
    assert metrics["random"]["samples with a novel prototype"].low > 0.8


@shipped
def test_facts_of_one_extractor_are_not_used_with_another():
    other = replace(read_extractor(), digest="0" * 64)
    with pytest.raises(CheckpointError, match="distances of two extractors do not compare"):
        read_against(None, extractor=other)
    assert read_against(None).facts is not None


@shipped
def test_the_shipped_facts_are_those_of_the_shipped_pack():
    reference = read_against(None)
    assert reference.facts.dataset["labels"] == reference.key
    assert reference.facts.n == reference.n
    assert abs(reference.facts.lines["novel"].value - 0.815) < 0.03  # of 10,000 held-out labels, by another count
