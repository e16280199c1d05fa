"""What an evaluation needs of the training data beyond the reference pack, measured once and kept in a small file.

Fingerprints of compositions and chemical systems, distributions, how often labels repeat, what held-out real data
reaches in every measure, some labels of both, and the embedding's moments with a few thousand points.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from wyckoffkit import CheckpointError
from wyckoffkit.metrics import DISTRIBUTIONS, Estimate

from ..fwd import Moments
from ..tensorfile import read_tensors, write_tensors
from .identity import IDENTITIES

KIND, VERSION = "evaluation facts", 2
SIDES = ("training", "held-out")
REPEATS = tuple(f"{side} {kind}" for side in SIDES for kind in ("labels", "prototypes"))

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, eq=False)
class EmbeddingFacts:
    """How an extractor sees the training data."""

    moments: Moments
    """Of all training materials whose elements have features."""
    points: Array
    """(M, D) float32 embeddings of random training materials."""
    energy_quantiles: Array
    """(1001,) predicted formation energies of the training materials, eV/atom, at 0, 0.001 … 1."""
    anchors: Mapping[str, Estimate]
    """Raw distances of real data at equal sizes: `train, train at N` and `held-out, train at N`."""
    held_out: Mapping[str, Any] = field(default_factory=dict)
    """What held-out materials reach against the training data, as in EmbeddingResult.measured; none without them."""


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
    repeats: Mapping[str, Array]
    """By name of REPEATS: (R, 2) int64 rows (times, items), so many items occur so many times."""
    examples: Mapping[str, tuple[str, ...]]
    """By side: labels drawn at random, for models that tell how likely they are."""
    lines: Mapping[str, Estimate] = field(default_factory=dict)
    """What held-out real data reaches, by the names of an evaluation's measures; Good and Turing's forecast."""
    embedding: EmbeddingFacts | None = None
    dataset: Mapping[str, Any] = field(default_factory=dict)

    def counts_of(self, name: str) -> Array:
        """How often each distinct item of one of REPEATS occurs."""
        times, items = self.repeats[name].T
        return np.repeat(times, items)


def write_facts(path: Path, facts: Facts) -> None:
    """Write as safetensors, whole or not at all."""
    arrays: dict[str, Array] = {f"counts.{name}": counts.astype(np.int64) for name, counts in facts.counts.items()}
    arrays |= {f"known.{kind}": values for kind, values in facts.known.items()}
    arrays |= {f"repeats.{name}": facts.repeats[name].astype(np.int64) for name in REPEATS}
    arrays |= {f"examples.{side}": _as_bytes(facts.examples[side]) for side in SIDES}
    arrays["held_out"] = facts.held_out
    header: dict[str, Any] = {
        "profile": facts.profile,
        "n": facts.n,
        "lines": _as_dicts(facts.lines),
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
            "anchors": _as_dicts(e.anchors),
            "held_out": dict(e.held_out),
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
                _as_estimates(e["anchors"]),
                e["held_out"],
            )
        return Facts(
            header["profile"],
            header["n"],
            {name: arrays[f"counts.{name}"] for name in DISTRIBUTIONS},
            {kind: arrays[f"known.{kind}"] for kind in IDENTITIES},
            arrays["held_out"],
            {name: arrays[f"repeats.{name}"] for name in REPEATS},
            {side: _as_labels(arrays[f"examples.{side}"]) for side in SIDES},
            _as_estimates(header["lines"]),
            embedding,
            header["dataset"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: not the contents of evaluation facts: {error}") from None


def _as_dicts(estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    return {name: estimate.to_dict() for name, estimate in estimates.items()}


def _as_estimates(content: Mapping[str, Any]) -> dict[str, Estimate]:
    return {name: Estimate(**estimate) for name, estimate in content.items()}


def _as_bytes(labels: tuple[str, ...]) -> Array:
    """Lines of text, which safetensors keeps as numbers."""
    return np.frombuffer("\n".join(labels).encode("ascii"), np.uint8)


def _as_labels(content: Array) -> tuple[str, ...]:
    return tuple(content.tobytes().decode("ascii").split("\n")) if len(content) else ()
