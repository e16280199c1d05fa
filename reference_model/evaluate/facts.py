"""What an evaluation needs of the training data beyond the reference pack, measured once and kept in a small file.

Fingerprints of compositions and chemical systems, distributions, the lines that held-out real data reaches, rates of
chemical plausibility, quantiles of predicted energies, and the embedding's moments with a few thousand points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wyckoffkit import CheckpointError
from wyckoffkit.metrics import (
    DISTRIBUTIONS,
    Estimate,
    categorise,
    multiplicities,
    novelty,
    uniqueness,
    unseen_probability,
)

from ..fwd import Moments, anchor, moments
from ..reference import contains, fingerprints, prototype_labels
from ..tensorfile import read_tensors, write_tensors
from .identity import IDENTITIES, identities
from .plausible import plausibility

if TYPE_CHECKING:
    from wyckoffkit.encoding import WyckoffColumns

    from ..extractor.embed import Extractor

KIND, VERSION = "evaluation facts", 1
EMBEDDED = 60_000
"""Training materials embedded at most, drawn at random: what is missing costs 1 / n of bias, which is subtracted."""
POINTS = 5000
"""Embeddings kept of each side, for kernel distance and neighbourhoods."""
PLAUSIBLE = 5000
"""Materials whose chemistry is screened."""
ENERGY_GRID = 1001
ANCHOR_SIZES = (1000, 10_000)

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, eq=False)
class EmbeddingFacts:
    """How an extractor sees the training data."""

    moments: Moments
    points: Array
    """(M, D) float32 embeddings of random training materials."""
    energy_quantiles: Array
    """(1001,) predicted formation energies of the training materials, eV/atom, at 0, 0.001 … 1."""
    lines: Mapping[str, Estimate]
    """Raw distances of real data: `train, train at N` and `held-out, train at N`."""


@dataclass(frozen=True, eq=False)
class Facts:
    """Measured on the training split, and on the held-out split where there is one."""

    profile: str
    n: int
    counts: Mapping[str, Array]
    """By name of metrics.DISTRIBUTIONS."""
    known: Mapping[str, Array]
    """Sorted fingerprints of `composition` and `chemical system`."""
    held_out: Array
    """Sorted fingerprints of held-out labels."""
    lines: Mapping[str, Estimate]
    """What real data reaches: novelty of held-out data, Good and Turing's forecast, uniqueness, plausibility."""
    embedding: EmbeddingFacts | None = None
    dataset: Mapping[str, Any] = field(default_factory=dict)


def measure_facts(
    train: WyckoffColumns,
    train_labels: Sequence[str],
    held_out: WyckoffColumns,
    held_out_labels: Sequence[str],
    *,
    profile: str,
    extractor: Extractor | None,
    seed: int = 0,
    dataset: Mapping[str, Any] | None = None,
    progress: Callable[[int], None] = lambda n: None,
) -> Facts:
    """Measure everything; with an extractor this embeds every material, which `progress` counts."""
    generator = np.random.default_rng(seed)
    known = {kind: np.unique(fingerprints(identities(kind, train_labels))) for kind in IDENTITIES}
    lines: dict[str, Estimate] = {}
    if len(held_out):
        lines |= _held_out_lines(train_labels, held_out_labels, known, profile)
    for kind in ("label", "prototype"):
        named = train_labels if kind == "label" else prototype_labels(train_labels, profile)
        lines[f"Good–Turing novel {kind}s"] = unseen_probability(multiplicities(named))
    screened = held_out if len(held_out) else train
    chosen = generator.permutation(len(screened))[:PLAUSIBLE]
    lines |= plausibility(screened.select(np.sort(chosen)))
    return Facts(
        profile,
        len(train),
        {name: categorise(name, train).counts for name in DISTRIBUTIONS},
        known,
        np.unique(fingerprints(held_out_labels)),
        lines,
        None if extractor is None else _embedding_facts(train, held_out, extractor, generator, progress),
        dict(dataset or {}),
    )


def _held_out_lines(
    train_labels: Sequence[str], held_out_labels: Sequence[str], known: Mapping[str, Array], profile: str
) -> dict[str, Estimate]:
    def novel(held: Sequence[str], reference: Array) -> Estimate:
        return novelty(contains(reference, fingerprints(held)))

    lines = {
        "novel": novel(held_out_labels, np.unique(fingerprints(train_labels))),
        "samples with a novel prototype": novel(
            prototype_labels(held_out_labels, profile), np.unique(fingerprints(prototype_labels(train_labels, profile)))
        ),
        "unique": uniqueness(held_out_labels),
        "unique prototypes": uniqueness(prototype_labels(held_out_labels, profile)),
    }
    for kind in IDENTITIES:
        lines[f"novel {kind}"] = novel(identities(kind, held_out_labels), known[kind])
    return lines


def _embedding_facts(
    train: WyckoffColumns,
    held_out: WyckoffColumns,
    extractor: Extractor,
    generator: np.random.Generator,
    progress: Callable[[int], None],
) -> EmbeddingFacts:
    seen = extractor.embed(train.select(generator.permutation(len(train))[:EMBEDDED]), progress)
    seen = seen[seen.is_known]
    shuffled = seen.embedding
    half = len(shuffled) // 2
    sides = {"train, train": (shuffled[:half], shuffled[half:])}
    if len(held_out) > 1:
        other = extractor.embed(held_out.select(generator.permutation(len(held_out))), progress)
        sides["held-out, train"] = other[other.is_known].embedding, shuffled
    found = {
        f"{name} at {n}": anchor(*pair, extractor.digest, n=n) for name, pair in sides.items() for n in ANCHOR_SIZES
    }
    return EmbeddingFacts(
        moments(seen.embedding, extractor.digest),
        shuffled[:POINTS],
        np.quantile(seen.energy, np.linspace(0, 1, ENERGY_GRID)),
        {name: estimate for name, estimate in found.items() if estimate is not None},
    )


def write_facts(path: Path, facts: Facts) -> None:
    """Write as safetensors, whole or not at all."""
    arrays: dict[str, Array] = {f"counts.{name}": counts.astype(np.int64) for name, counts in facts.counts.items()}
    arrays |= {f"known.{kind}": values for kind, values in facts.known.items()}
    arrays["held_out"] = facts.held_out
    header: dict[str, Any] = {
        "profile": facts.profile,
        "n": facts.n,
        "lines": {name: estimate.to_dict() for name, estimate in facts.lines.items()},
        "dataset": dict(facts.dataset),
        "embedding": None,
    }
    if facts.embedding is not None:
        e = facts.embedding
        arrays |= {"mean": e.moments.mean, "covariance": e.moments.covariance, "points": e.points.astype(np.float16)}
        arrays["energy_quantiles"] = e.energy_quantiles
        header["embedding"] = {
            "n": e.moments.n,
            "curvature": e.moments.curvature,
            "digest": e.moments.digest,
            "lines": {name: estimate.to_dict() for name, estimate in e.lines.items()},
        }
    write_tensors(path, KIND, VERSION, arrays, header)


def read_facts(path: Path) -> Facts:
    """Read what `write_facts` wrote. Raises CheckpointError."""
    arrays, header = read_tensors(path, KIND, VERSION, framework="np")
    try:
        embedding = None
        if header["embedding"] is not None:
            e = header["embedding"]
            embedding = EmbeddingFacts(
                Moments(e["n"], arrays["mean"], arrays["covariance"], e["curvature"], e["digest"]),
                arrays["points"].astype(np.float32),
                arrays["energy_quantiles"],
                {name: Estimate(**estimate) for name, estimate in e["lines"].items()},
            )
        return Facts(
            header["profile"],
            header["n"],
            {name: arrays[f"counts.{name}"] for name in DISTRIBUTIONS},
            {kind: arrays[f"known.{kind}"] for kind in IDENTITIES},
            arrays["held_out"],
            {name: Estimate(**estimate) for name, estimate in header["lines"].items()},
            embedding,
            header["dataset"],
        )
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: not the contents of evaluation facts: {error}") from None
