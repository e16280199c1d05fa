"""All numbers of an evaluation, as one value that is written as JSON and shown as a table or a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from wyckoffkit import DatasetError, __version__, tables
from wyckoffkit.metrics import (
    DISTRIBUTIONS,
    Divergence,
    Estimate,
    categorise,
    collision_probability,
    divergence,
    novelty,
    proportion,
    uniqueness,
)

from .against import Reference
from .samples import Samples

FORMAT_VERSION = 1


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Numbers with their intervals, and what they were computed from."""

    samples: Samples
    reference: Reference
    metrics: Mapping[str, Estimate]
    divergences: Mapping[str, Divergence]
    distributions: Mapping[str, Mapping[str, tuple[int, int | None]]]
    """By name and category: materials among the samples, and in the reference where that is known."""
    seed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        samples, reference = self.samples, self.reference
        return {
            "format_version": FORMAT_VERSION,
            "toolkit_version": __version__,
            "table_digest": tables.digest(),
            "profile": samples.profile,
            "seed": self.seed,
            "samples": {
                "source": samples.source,
                "lines": samples.n_lines,
                "valid": len(samples.labels),
                "rejected": [{"line": r.line, "text": r.text, "reason": r.reason} for r in samples.rejected],
                "reasons": samples.reasons,
            },
            "reference": {
                "source": reference.source,
                "materials": reference.n,
                "distinct_labels": len(reference.labels),
                "distinct_prototypes": len(reference.prototypes),
                "rejected": reference.n_rejected,
                "provenance": dict(reference.provenance),
            },
            "metrics": {name: estimate.to_dict() for name, estimate in self.metrics.items()},
            "jensen_shannon_bits": {name: found.to_dict() for name, found in self.divergences.items()},
            "distributions": {
                name: {category: {"samples": ours, "reference": theirs} for category, (ours, theirs) in rows.items()}
                for name, rows in self.distributions.items()
            },
        }


def evaluate(samples: Samples, reference: Reference, *, seed: int = 0) -> Evaluation:
    """Measure samples against a reference. Raises DatasetError where their profiles differ or no sample is valid."""
    if samples.profile != reference.profile:
        raise DatasetError(
            f"{samples.source} is canonical under {samples.profile}, {reference.source} under {reference.profile}: "
            "labels of two profiles do not compare"
        )
    if not samples.labels:
        raise DatasetError(
            f"{samples.source}: none of its {samples.n_lines} lines is a valid label, the first because "
            f"{samples.rejected[0].reason}"
        )
    generator = np.random.default_rng(seed)
    categories = {name: categorise(name, samples.columns) for name in DISTRIBUTIONS}
    divergences = {
        name: divergence(found, reference.counts[name], generator)
        for name, found in categories.items()
        if name in reference.counts
    }
    distributions = {}
    for name, found in categories.items():
        theirs = reference.counts.get(name)
        distributions[name] = {
            category: (int(ours), None if theirs is None else int(theirs[k]))
            for k, (category, ours) in enumerate(zip(found.names, found.counts, strict=True))
            if ours or (theirs is not None and theirs[k])
        }
    return Evaluation(samples, reference, _shares(samples, reference), divergences, distributions, seed)


def _shares(samples: Samples, reference: Reference) -> dict[str, Estimate]:
    """Validity, uniqueness and novelty. Shares are of the valid samples unless the name says otherwise."""
    knows_label = reference.knows_labels(samples.labels)
    knows_prototype = reference.knows_prototypes(samples.prototypes)
    novel = {label for label, known in zip(samples.labels, knows_label, strict=True) if not known}
    new_prototypes = {p for p, known in zip(samples.prototypes, knows_prototype, strict=True) if not known}
    return {
        "valid": proportion(len(samples.labels), samples.n_lines),
        "unique": uniqueness(samples.labels),
        "collision probability": collision_probability(samples.labels),
        "novel": novelty(knows_label),
        "novel of the distinct": proportion(len(novel), len(set(samples.labels))),
        "valid, unique and novel, of all lines": proportion(len(novel), samples.n_lines),
        "unique prototypes": uniqueness(samples.prototypes),
        "prototype collision probability": collision_probability(samples.prototypes),
        "samples with a novel prototype": novelty(knows_prototype),
        "novel of the distinct prototypes": proportion(len(new_prototypes), len(set(samples.prototypes))),
    }
