"""A label is embedded once, whatever the evaluation, and what is kept never changes a result."""

from __future__ import annotations

import numpy as np
import pytest
from real_labels import WBM_LABELS

from reference_model.extractor import remembered
from reference_model.extractor.remembered import cache_folder, embed_labels
from reference_model.extractor.weights import read_extractor
from wyckoffkit import parse_label
from wyckoffkit.encoding import to_columns

LABELS = WBM_LABELS[:40]
UNKNOWN = "AB_cF8_225_a_b:O-Rf"  # Wrenformer has no features of Rf


class Counting:
    """An extractor that counts what it is asked for."""

    def __init__(self, extractor):
        self.extractor, self.asked = extractor, 0
        self.digest, self.n_dimensions = extractor.digest, extractor.n_dimensions

    def embed(self, columns):
        self.asked += len(columns)
        return self.extractor.embed(columns)


@pytest.fixture
def extractor(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return Counting(read_extractor())


def ask(extractor, labels):
    return embed_labels(extractor, labels, to_columns(map(parse_label, labels)))


def same(a, b):
    return np.array_equal(a.embedding, b.embedding, equal_nan=True) and np.array_equal(
        a.energy, b.energy, equal_nan=True
    )


def test_each_label_is_embedded_once_and_comes_back_as_it_was(extractor):
    labels = [*LABELS[:20], *LABELS[:5], UNKNOWN, *LABELS[2:4]]
    first = ask(extractor, labels)
    assert extractor.asked == 21
    assert same(ask(extractor, labels), first)
    assert same(ask(extractor, labels[::-1]), first[::-1])
    assert extractor.asked == 21
    assert not first.is_known[labels.index(UNKNOWN)]
    more = ask(extractor, LABELS)
    assert extractor.asked == 41
    assert same(more[:20], first[:20])


def test_what_is_kept_is_what_the_extractor_says(extractor):
    ask(extractor, LABELS[10:])
    found, alone = ask(extractor, LABELS), extractor.extractor.embed(to_columns(map(parse_label, LABELS)))
    np.testing.assert_allclose(found.embedding, alone.embedding, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.energy, alone.energy, rtol=1e-4, atol=1e-4)


def test_the_cache_is_bounded_and_keeps_what_was_asked_last(extractor, monkeypatch):
    monkeypatch.setattr(remembered, "MOST", 15)
    ask(extractor, LABELS[:12])
    ask(extractor, LABELS[12:24])
    asked = extractor.asked
    ask(extractor, LABELS[12:24])
    assert extractor.asked == asked
    ask(extractor, LABELS[:12])
    assert extractor.asked == asked + 9


def test_a_damaged_or_forbidden_cache_is_done_without(extractor, tmp_path, monkeypatch):
    first = ask(extractor, LABELS[:5])
    (path,) = cache_folder("embeddings").iterdir()
    path.write_bytes(path.read_bytes()[:-7])
    assert same(ask(extractor, LABELS[:5]), first)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert same(ask(extractor, LABELS[:5]), first)
