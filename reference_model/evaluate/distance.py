"""Samples against training data in an extractor's embedding, and by the formation energies that it predicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wyckoffkit.metrics import Estimate, quantile

from ..fwd import DEFINITION, FrechetResult, Overlap, frechet, kernel_distance, overlap

if TYPE_CHECKING:
    from ..extractor.embed import Embedded, Extractor
    from .facts import EmbeddingFacts

QUANTILES = {"Q10": 0.1, "Q50": 0.5, "Q90": 0.9}
BINS = 80


@dataclass(frozen=True, eq=False)
class EmbeddingResult:
    """All that comes from an extractor."""

    extractor: str
    digest: str
    n_embedded: int
    n_unknown: int
    """Samples with an element that has no features (beyond Lr): they are in no number here."""
    fwd: FrechetResult | None
    fwd_novel: FrechetResult | None
    """Of the samples whose label is not in the reference."""
    kernel: Estimate
    overlap: Overlap
    energies: Mapping[str, Mapping[str, Estimate]]
    """eV/atom, by set (all, novel, training) and quantile."""
    histograms: Mapping[str, np.ndarray]
    """Shares of each set in 80 bins between `edges`."""
    edges: np.ndarray
    anchors: Mapping[str, Estimate]
    """Raw distances of real data at equal sizes."""
    held_out: Mapping[str, Any]
    """What held-out real data reaches, as in `measured`."""
    energy: np.ndarray
    """(N,) of every sample, NaN where it is unknown."""
    embedding: np.ndarray
    """(N, D) float32, NaN likewise."""

    def measured(self) -> dict[str, Any]:
        """The numbers that a set of materials has by itself, for JSON."""
        return {
            "fwd": _of_frechet(self.fwd),
            "fwd_of_novel": _of_frechet(self.fwd_novel),
            "kernel_distance": self.kernel.to_dict(),
            **{name: getattr(self.overlap, name).to_dict() for name in ("precision", "recall", "density", "coverage")},
            "predicted_formation_energy_ev_per_atom": {
                name: {q: estimate.to_dict() for q, estimate in found.items()} for name, found in self.energies.items()
            },
        }

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "definition": DEFINITION,
            "extractor": self.extractor,
            "digest": self.digest,
            "embedded": self.n_embedded,
            "without_features": self.n_unknown,
            **self.measured(),
            "anchors": {name: estimate.to_dict() for name, estimate in self.anchors.items()},
            "held_out": dict(self.held_out),
            "energy_histogram": {
                "edges": self.edges.round(4).tolist(),
                **{name: shares.round(6).tolist() for name, shares in self.histograms.items()},
            },
        }


def _of_frechet(result: FrechetResult | None) -> dict[str, Any] | None:
    if result is None:
        return None
    estimates = {name: getattr(result, name).to_dict() for name in ("raw", "corrected", "infinite")}
    return {**estimates, "floor": result.floor}


def compare_embeddings(
    seen: Embedded,
    is_novel: np.ndarray,
    facts: EmbeddingFacts,
    extractor: Extractor,
    generator: np.random.Generator,
) -> EmbeddingResult:
    """Compare N samples, as the extractor sees them, with the training data."""
    known = seen.is_known
    x, novel = seen.embedding[known], seen.embedding[known & is_novel]

    def distance(embeddings: np.ndarray) -> FrechetResult | None:
        if len(embeddings) < 2:
            return None
        return frechet(embeddings, facts.moments, extractor.digest, generator)

    size = min(len(x), len(facts.points))
    chosen = x[generator.permutation(len(x))[:size]]
    points = facts.points[:size]
    edges = _edges(facts.energy_quantiles)
    energies = {"all": seen.energy[known], "novel": seen.energy[known & is_novel], "training": facts.energy_quantiles}
    return EmbeddingResult(
        extractor.name,
        extractor.digest,
        len(x),
        int((~known).sum()),
        distance(x),
        distance(novel),
        kernel_distance(chosen, points),
        overlap(chosen, points),
        {name: _quantiles(name, values, facts.moments.n) for name, values in energies.items()},
        {name: _shares(values, edges) for name, values in energies.items()},
        edges,
        facts.anchors,
        facts.held_out,
        seen.energy,
        seen.embedding,
    )


def _quantiles(name: str, values: np.ndarray, n_train: int) -> dict[str, Estimate]:
    if name != "training":
        return {label: quantile(values, q) for label, q in QUANTILES.items()}
    # The training set's are a grid of exact quantiles of all its materials.
    exact = {label: float(np.quantile(values, q)) for label, q in QUANTILES.items()}
    return {label: Estimate(value, value, value, n_train) for label, value in exact.items()}


def _edges(training: np.ndarray) -> np.ndarray:
    low, high = float(training[5]), float(training[-6])
    margin = 0.15 * (high - low) or 1.0
    return np.linspace(low - margin, high + margin, BINS + 1)


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """What lies beyond the edges counts in the outermost bins."""
    if len(values) == 0:
        return np.zeros(len(edges) - 1)
    return np.histogram(np.clip(values, edges[0], edges[-1]), bins=edges)[0] / len(values)
