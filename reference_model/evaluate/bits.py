"""How likely the model that drew the samples finds them, held-out materials and its own training data.

A model with memory finds training data likelier than held-out data, label by label, long before it repeats any of it.
And one that finds its own samples much likelier than held-out data draws from less than it should.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wyckoffkit import ProtostructureError, parse_label
from wyckoffkit.metrics import Estimate, Z

from ..model import load_model
from ..score.scorer import Scorer
from .samples import Samples
from .trainingset import Reference

SCORED = 1000
"""Samples scored at most, drawn at random; as many labels of each side lie in the facts."""
EXACT = 6
"""Jump models are summed exactly for materials of up to so many occupied slots: 2^6 network evaluations a setting."""


@dataclass(frozen=True, slots=True)
class Likelihoods:
    """Bits a material, -log2 p: exact for most materials of jump models, else an upper bound."""

    model: str
    bits: dict[str, Estimate]
    """Means over `samples`, `held-out` and `training` materials."""
    differences: dict[str, Estimate]
    """`held-out less training`: 0 without memory. `held-out less samples`: 0 for a model whose law is the data's,
    below 0 where it draws more widely.
    """
    beyond: dict[str, int]
    """Materials of each set to which the model gives no probability at all; they are in no mean."""
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "model": self.model,
            "bits_a_material": {name: estimate.to_dict() for name, estimate in self.bits.items()},
            "differences": {name: estimate.to_dict() for name, estimate in self.differences.items()},
            "beyond": dict(self.beyond),
        }


def measure_bits(
    checkpoint: Path, samples: Samples, reference: Reference, generator: np.random.Generator, *, seed: int = 0
) -> Likelihoods:
    """Score samples, and what the reference keeps of both sides.

    Raises CheckpointError.
    """
    model = load_model(checkpoint)
    scorer = Scorer(model, seed=seed, exact=EXACT if model.checkpoint.config.objective == "jump" else 0)
    drawn = generator.permutation(len(samples.labels))[:SCORED]
    sets: dict[str, Sequence[str]] = {"samples": [samples.labels[i] for i in drawn]}
    if reference.facts is not None:
        sets |= {side: reference.facts.examples[side] for side in ("held-out", "training")}
    bits, beyond = {}, {}
    for name, labels in sets.items():
        bits[name], beyond[name] = _score(scorer, labels)
    differences = {
        f"held-out less {name}": _difference(bits["held-out"], bits[name])
        for name in ("training", "samples")
        if len(bits.get("held-out", ())) > 1
    }
    return Likelihoods(
        str(checkpoint),
        {name: _mean(values) for name, values in bits.items() if len(values)},
        differences,
        beyond,
        "" if np.array_equal(model.reference.labels, reference.labels) else "the model was trained on other data",
    )


def _score(scorer: Scorer, labels: Sequence[str]) -> tuple[np.ndarray, int]:
    """(bits of those that the model knows, how many it does not)."""
    known = []
    for label in labels:
        protostructure = parse_label(label)
        try:
            scorer.check(protostructure)
        except ProtostructureError:
            continue
        known.append(protostructure)
    return np.array([score.bits for score in scorer.score(known)]), len(labels) - len(known)


def _mean(values: np.ndarray) -> Estimate:
    value = float(values.mean())
    error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("inf")
    return Estimate(value, value - Z * error, value + Z * error, len(values))


def _difference(a: np.ndarray, b: np.ndarray) -> Estimate:
    """Of the means of two independent sets."""
    value = float(a.mean() - b.mean())
    error = float(np.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b)))
    return Estimate(value, value - Z * error, value + Z * error, len(a) + len(b))
