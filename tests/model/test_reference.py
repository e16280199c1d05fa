"""The reference pack: counts and fingerprints of a training set, and what they answer."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b

import numpy as np
import pytest
from small_materials import PAPER, small_materials

from reference_model.reference import (
    build_reference,
    contains,
    fingerprint,
    fingerprints,
    prototype_labels,
    read_reference,
    reference_path,
    write_reference,
)
from reference_model.tensorfile import write_tensors
from wyckoffkit import CheckpointError, ProtostructureError, parse_label
from wyckoffkit.encoding import to_columns


@pytest.fixture(scope="module")
def data():
    return small_materials(60)


@pytest.fixture(scope="module")
def pack(data):
    columns, labels = data
    return build_reference(columns, labels, n_elements=20, max_count=7, dataset={"sha256": "ab"})


def test_a_fingerprint_is_the_little_endian_start_of_blake2b():
    label = PAPER[0]
    expected = int.from_bytes(blake2b(label.encode(), digest_size=8).digest(), "little")
    assert fingerprint(label) == expected
    assert fingerprints([label, PAPER[1]]).tolist() == [expected, fingerprint(PAPER[1])]
    assert fingerprints([]).dtype == np.uint64


def test_probabilities_are_those_counted_one_material_at_a_time(data, pack):
    columns, _ = data
    groups, tokens, on_constrained, on_unconstrained = Counter(), Counter(), Counter(), Counter()
    for p in columns:
        group = p.space_group
        groups[group.number] += 1
        slots = Counter((orbit.element, orbit.letter) for orbit in p.orbits)
        tokens[group.number, len(slots)] += 1
        held = {letter: element for element, letter in slots}
        for position in group.constrained:
            on_constrained[held.get(position.letter, "")] += 1
        for position in group.unconstrained:
            for element in set(p.composition):
                on_unconstrained[slots[element, position.letter]] += 1
            on_unconstrained[0] += 20 - len(p.composition)
    assert {s: n for s, n in enumerate(pack.space_group_count.tolist()) if n} == dict(groups)
    assert pack.space_group_probability.sum() == pytest.approx(1)
    for (s, n), count in tokens.items():
        assert pack.token_count[s, n] == count
    assert pack.constrained_count[0] == on_constrained[""]
    assert pack.constrained_count.sum() == sum(on_constrained.values())
    assert {n: c for n, c in enumerate(pack.unconstrained_count.tolist()) if c} == {
        n: c for n, c in on_unconstrained.items() if c
    }
    assert pack.constrained_marginal.sum() == pytest.approx(1)
    assert len(pack.unconstrained_marginal) == 8


def test_the_training_set_is_known_and_other_labels_are_not(data, pack):
    _, labels = data
    assert pack.knows_labels(labels).all()
    assert not pack.knows_labels(["AB_cF8_225_a_b:U-W", labels[0] + " ", ""]).any()
    assert (pack.labels[:-1] < pack.labels[1:]).all()
    prototypes = [str(parse_label(label).prototype()) for label in labels]
    assert prototype_labels(labels) == prototypes
    assert pack.knows_prototypes(prototypes).all()
    assert len(pack.prototypes) == len(set(prototypes))
    assert not pack.knows_prototypes(["A_cF4_225_a"]).any()


def test_nothing_is_known_to_an_empty_pack():
    assert contains(np.array([], dtype=np.uint64), fingerprints(PAPER)).tolist() == [False] * len(PAPER)


def test_the_extremes_of_64_bits_are_found():
    known = np.array([0, 5, 2**64 - 1], dtype=np.uint64)
    wanted = np.array([0, 1, 5, 2**64 - 2, 2**64 - 1], dtype=np.uint64)
    assert contains(known, wanted).tolist() == [True, False, True, False, True]


def test_what_is_read_is_what_was_written(pack, tmp_path):
    write_reference(tmp_path / "p.safetensors", pack)
    found = read_reference(tmp_path / "p.safetensors")
    for name in (
        "space_group_count",
        "token_count",
        "constrained_count",
        "unconstrained_count",
        "labels",
        "prototypes",
    ):
        assert (getattr(found, name) == getattr(pack, name)).all()
        assert getattr(found, name).dtype == getattr(pack, name).dtype
    assert (found.profile, found.dataset) == (pack.profile, pack.dataset)


def test_a_pack_with_other_arrays_is_refused(tmp_path):
    write_tensors(tmp_path / "p.safetensors", "reference pack", 1, {"labels": np.zeros(3, np.uint64)}, {})
    with pytest.raises(CheckpointError, match=r"p.safetensors: not the arrays of a reference pack"):
        read_reference(tmp_path / "p.safetensors")


def test_the_pack_of_a_checkpoint_is_its_own_or_the_folders(tmp_path):
    assert reference_path(tmp_path / "best.safetensors") == tmp_path / "reference.safetensors"
    (tmp_path / "default.reference.safetensors").touch()
    assert reference_path(tmp_path / "default.safetensors") == tmp_path / "default.reference.safetensors"


def test_data_beyond_the_model_are_refused_with_the_material():
    columns = to_columns([parse_label("AB_cF8_225_a_b:H-He"), parse_label("AB_cF8_225_a_b:Ca-O")])
    with pytest.raises(ProtostructureError, match="material 1 has atomic number 20, the model ends at 10"):
        build_reference(columns, ["", ""], n_elements=10, max_count=5)
    with pytest.raises(ProtostructureError, match="material 0 has orbit count 7, the model ends at 5"):
        build_reference(to_columns([parse_label("A_aP7_1_7a:H")]), [""], n_elements=10, max_count=5)
