"""The lines that real data draws beside each measure: held-out materials, and the training set drawn from anew.

Held-out data is what a generator should look like; but a data set lists a material about once, so its parts repeat
each other less than any generator does, which draws *with* replacement. The training set drawn with replacement is the
other end: a generator that knows its training data and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from wyckoffkit.metrics import (
    DISTRIBUTIONS,
    Estimate,
    categorise,
    distinct_with_replacement,
    multiplicities,
    proportion,
    rarefaction,
    unseen_probability,
)

from ..fwd import alike, anchor, moments
from ..measures import MEMORY
from ..reference import fingerprints
from .distance import compare_embeddings
from .facts import REPEATS, SIDES, Array, EmbeddingFacts, Facts
from .identity import IDENTITIES, identities
from .plausible import plausibility
from .samples import Samples
from .shares import NEW_PROTOTYPES, curve_sizes, known_among, shares
from .trainingset import Reference, as_samples

if TYPE_CHECKING:
    from ..extractor.embed import Extractor

POINTS = 5000
"""Embeddings kept of the training data, for kernel distance and neighbourhoods."""
HELD_OUT = 10_000
"""Held-out materials measured at most, drawn at random: as many as the samples that most evaluate."""
PLAUSIBLE = 5000
"""Training materials whose chemistry is screened where none are held out."""
EXAMPLES = 1000
ENERGY_GRID = 1001
# Shares that depend on how many samples, or novel samples, there are.
OF_DISTINCT = ("novel of the distinct", "novel of the distinct prototypes")
AMONG_NOVEL = ("unique among the novel", "distinct prototypes among the novel", NEW_PROTOTYPES)
ANCHOR_SIZES = (1000, 10_000)


def measure_facts(
    reference: Reference,
    train: Samples,
    held_out: Samples,
    *,
    extractor: Extractor | None,
    seed: int = 0,
    dataset: Mapping[str, Any] | None = None,
    progress: Callable[[int], None] = lambda n: None,
) -> Facts:
    """Measure everything; with an extractor this embeds every material, which `progress` counts."""
    generator = np.random.default_rng(seed)
    some = _chosen(held_out, generator.permutation(len(held_out.labels))[:HELD_OUT])
    sides = dict(zip(SIDES, (train, some), strict=True))
    items = {
        f"{side} {kind}": getattr(found, kind) for side, found in sides.items() for kind in ("labels", "prototypes")
    }
    facts = Facts(
        reference.profile,
        len(train.labels),
        {name: categorise(name, train.columns).counts for name in DISTRIBUTIONS},
        {kind: np.unique(fingerprints(identities(kind, train.labels))) for kind in IDENTITIES},
        np.unique(fingerprints(held_out.labels)),
        {name: _repeats(items[name]) for name in REPEATS},
        {side: _drawn(found.labels, generator) for side, found in sides.items()},
        dataset=dict(dataset or {}),
    )
    lines = _lines(replace(reference, facts=facts), train, some, generator)
    embedding = None
    if extractor is not None:
        is_novel = ~reference.knows_labels(some.labels)
        embedding = _embedding_facts(train, some, is_novel, extractor, generator, progress)
    return replace(facts, lines=lines, embedding=embedding)


def _chosen(samples: Samples, rows: Array) -> Samples:
    labels = [samples.labels[i] for i in rows]
    return as_samples(samples.columns.select(rows), labels, samples.source, samples.profile)


def _drawn(labels: Sequence[str], generator: np.random.Generator) -> tuple[str, ...]:
    return tuple(labels[i] for i in generator.permutation(len(labels))[:EXAMPLES])


def _repeats(items: Sequence[str]) -> Array:
    """(R, 2) rows (times, items)."""
    return np.stack(np.unique(multiplicities(items), return_counts=True), axis=1).astype(np.int64)


def _lines(
    reference: Reference, train: Samples, held_out: Samples, generator: np.random.Generator
) -> dict[str, Estimate]:
    if held_out.labels:
        lines = shares(held_out, reference, known_among(held_out, reference))
        lines[MEMORY] = Estimate(1.0, 1.0, 1.0, len(held_out.labels))  # of any law that knows not which are which
    else:
        chosen = np.sort(generator.permutation(len(train.labels))[:PLAUSIBLE])
        lines = plausibility(train.columns.select(chosen))
    for name, items in (("labels", train.labels), ("prototypes", train.prototypes)):
        lines[f"Good–Turing novel {name}"] = unseen_probability(multiplicities(items))
    return lines


def _embedding_facts(
    train: Samples,
    held_out: Samples,
    is_novel: Array,
    extractor: Extractor,
    generator: np.random.Generator,
    progress: Callable[[int], None],
) -> EmbeddingFacts:
    seen = extractor.embed(train.columns.select(generator.permutation(len(train.labels))), progress)
    seen = seen[seen.is_known]
    shuffled = seen.embedding
    half = len(shuffled) // 2
    sides = {"train, train": (shuffled[:half], shuffled[half:])}
    facts = EmbeddingFacts(
        moments(shuffled, extractor.digest),
        shuffled[:POINTS],
        np.quantile(seen.energy, np.linspace(0, 1, ENERGY_GRID)),
        {},
    )
    measured: dict[str, Any] = {}
    if len(held_out.labels) > 1:
        found = compare_embeddings(extractor.embed(held_out.columns), is_novel, facts, extractor, generator)
        measured = found.measured()
        sides["held-out, train"] = found.embedding[~np.isnan(found.embedding[:, 0])], shuffled
    anchors = {
        f"{name} at {n}": anchor(*pair, extractor.digest, n=n) for name, pair in sides.items() for n in ANCHOR_SIZES
    }
    return replace(facts, anchors={name: a for name, a in anchors.items() if a is not None}, held_out=measured)


def held_out_lines(facts: Facts, n: int, n_novel: int) -> dict[str, Estimate]:
    """What held-out real data reaches beside n samples of which n_novel are novel.

    Uniqueness is that of as many materials, where that many or more are held out. What depends on their number in
    other ways has a line only where the numbers are alike.
    """
    lines = dict(facts.lines)
    for name, of in (("unique", "held-out labels"), ("unique prototypes", "held-out prototypes")):
        counts = facts.counts_of(of)
        if 0 < n < counts.sum():
            lines[name] = proportion(round(float(rarefaction(counts, [n])[0])), n)
    for names, size, among in ((OF_DISTINCT, n, "novel"), (AMONG_NOVEL, n_novel, "unique among the novel")):
        if among in facts.lines and not alike(facts.lines[among].n, size):
            lines = {name: line for name, line in lines.items() if name not in names}
    return lines


def resampled_lines(facts: Facts, n: int) -> dict[str, float]:
    """What n draws with replacement from the training set show: expectations, exact, so without intervals."""
    found = {"valid": 1.0}
    for kind, unique, collision in (
        ("labels", "unique", "collision probability"),
        ("prototypes", "unique prototypes", "prototype collision probability"),
    ):
        counts = facts.counts_of(f"training {kind}")
        found[unique] = distinct_with_replacement(counts, n) / max(1, n)
        found[collision] = float(((counts / counts.sum()) ** 2).sum())
    nothing_new = (
        "novel",
        "novel of the distinct",
        "valid, unique and novel, of all lines",
        "samples with a novel prototype",
        "novel of the distinct prototypes",
        *(f"novel {kind}" for kind in IDENTITIES),
    )
    return found | dict.fromkeys(nothing_new, 0.0)


def curves_of_lines(facts: Facts, n: int) -> dict[str, Any]:
    """Rarefaction of held-out materials, and distinct items among draws with replacement, for up to n materials."""
    found: dict[str, Any] = {}
    for kind in ("labels", "prototypes"):
        held_out, training = facts.counts_of(f"held-out {kind}"), facts.counts_of(f"training {kind}")
        sizes = curve_sizes(min(n, int(held_out.sum())))
        distinct = [round(float(v), 2) for v in rarefaction(held_out, sizes)]
        found[f"held-out {kind}"] = {"samples": sizes, "distinct": distinct}
        sizes = curve_sizes(n)
        distinct = [round(distinct_with_replacement(training, m), 2) for m in sizes]
        found[f"resampled {kind}"] = {"samples": sizes, "distinct": distinct}
    return found
