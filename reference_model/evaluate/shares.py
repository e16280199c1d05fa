"""Validity, uniqueness, novelty and memorisation of samples, by label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wyckoffkit import parse_label
from wyckoffkit.metrics import (
    Estimate,
    collision_probability,
    multiplicities,
    novelty,
    proportion,
    rarefaction,
    ratio_of_counts,
    uniqueness,
)

from ..measures import MEMORY
from ..reference import contains, fingerprints
from .facts import Facts
from .identity import IDENTITIES, identities
from .plausible import P1, TRICLINIC, plausibility
from .samples import Samples
from .trainingset import Reference

CURVE_POINTS = 40
NOVEL_COMPARED = 10_000
"""The paper counts the unique and novel prototypes among so many novel materials."""
NEW_PROTOTYPES = "distinct novel prototypes among the novel (10,000 at most)"


@dataclass(frozen=True, eq=False)
class Known:
    """Which samples the reference holds."""

    label: np.ndarray
    """(N,) bool."""
    prototype: np.ndarray
    """(N,) bool."""


def known_among(samples: Samples, reference: Reference) -> Known:
    """Look every sample up."""
    return Known(reference.knows_labels(samples.labels), reference.knows_prototypes(samples.prototypes))


def shares(samples: Samples, reference: Reference, known: Known) -> dict[str, Estimate]:
    """Shares are of the valid samples unless the name says otherwise."""
    novel = [label for label, is_known in zip(samples.labels, known.label, strict=True) if not is_known]
    of_novel = [p for p, is_known in zip(samples.prototypes, known.label, strict=True) if not is_known]
    new = {p for p, is_known in zip(samples.prototypes, known.prototype, strict=True) if not is_known}
    found = {
        "valid": proportion(len(samples.labels), samples.n_lines),
        "unique": uniqueness(samples.labels),
        "collision probability": collision_probability(samples.labels),
        "novel": novelty(known.label),
        "novel of the distinct": proportion(len(set(novel)), len(set(samples.labels))),
        "valid, unique and novel, of all lines": proportion(len(set(novel)), samples.n_lines),
        "unique among the novel": uniqueness(novel),
        "unique prototypes": uniqueness(samples.prototypes),
        "prototype collision probability": collision_probability(samples.prototypes),
        "samples with a novel prototype": novelty(known.prototype),
        "novel of the distinct prototypes": proportion(len(new), len(set(samples.prototypes))),
        "distinct prototypes among the novel": uniqueness(of_novel),
        NEW_PROTOTYPES: _new_among_novel(of_novel, new),
    }
    if reference.facts is not None:
        for kind in IDENTITIES:
            held = contains(reference.facts.known[kind], fingerprints(identities(kind, samples.labels)))
            found[f"novel {kind}"] = novelty(held)
    return found | plausibility(samples.columns)


def _new_among_novel(of_novel: Sequence[str], new: set[str]) -> Estimate:
    """Distinct prototypes that the reference lacks, expected among 10,000 novel samples, or all where there are less;
    as a share of them. The interval is Wilson's, as for uniqueness.
    """
    m = min(len(of_novel), NOVEL_COMPARED)
    counts = multiplicities(prototype for prototype in of_novel if prototype in new)
    return proportion(round(float(rarefaction(counts, [m], n_draws=len(of_novel))[0])), m)


def memorisation(samples: Samples, reference: Reference, facts: Facts) -> dict[str, Estimate]:
    """How much likelier a sample equals a training label than an equally frequent held-out one; 1 without memory.

    Labels in both sets do not count. The two numbers of hits are Poisson, over sets of unlike size.
    """
    drawn = fingerprints(samples.labels)
    in_train, in_held_out = contains(reference.labels, drawn), contains(facts.held_out, drawn)
    shared = contains(reference.labels, facts.held_out)
    n_held_out = len(facts.held_out) - int(shared.sum())
    if n_held_out == 0:
        return {}
    n_train = len(reference.labels) - int(shared.sum())
    hits, held_hits = int((in_train & ~in_held_out).sum()), int((in_held_out & ~in_train).sum())
    ratio, scale = ratio_of_counts(hits, held_hits), n_held_out / n_train
    return {
        MEMORY: Estimate(ratio.value * scale, ratio.low * scale, ratio.high * scale, hits + held_hits),
        "held-out labels found again": proportion(
            int(contains(np.unique(drawn), facts.held_out).sum()), len(facts.held_out)
        ),
    }


def sweep_of(samples: Samples, reference: Reference) -> tuple[dict[str, Any], ...]:
    """How the numbers of structures depend on the tolerance (Å) at which their labels were found."""
    found = []
    for symprec, labels in samples.sweep.items():
        named = [label for label in labels if label is not None]
        groups = np.array([parse_label(label).space_group.number for label in named], dtype=np.int64)
        measured = {
            "labelled": proportion(len(named), len(labels)),
            P1: proportion(int((groups == 1).sum()), len(groups)),
            TRICLINIC: proportion(int((groups <= 15).sum()), len(groups)),
            "unique": uniqueness(named),
            "novel": novelty(reference.knows_labels(named)),
        }
        found.append({"symprec": symprec, **{name: estimate.to_dict() for name, estimate in measured.items()}})
    return tuple(found)


def curve_sizes(n: int) -> list[int]:
    """Where a rarefaction curve of n draws is computed: evenly, and at 10,000."""
    sizes = {max(1, round(n * k / CURVE_POINTS)) for k in range(1, CURVE_POINTS + 1)} if n else set()
    return sorted(sizes | ({NOVEL_COMPARED} if n >= NOVEL_COMPARED else set()))


def curves(samples: Samples, known: Known) -> dict[str, Any]:
    """Distinct labels and prototypes expected among m samples (rarefaction), and prototypes among m novel samples."""
    of_novel = [p for p, is_known in zip(samples.prototypes, known.label, strict=True) if not is_known]
    new = {p for p, is_known in zip(samples.prototypes, known.prototype, strict=True) if not is_known}
    found: dict[str, Any] = {}
    for name, items in (
        ("labels", samples.labels),
        ("prototypes", samples.prototypes),
        ("prototypes among the novel", of_novel),
        ("novel prototypes among the novel", of_novel),
    ):
        counted = (item for item in items if item in new) if name.startswith("novel") else items
        counts, n = multiplicities(counted), len(items)
        sizes = curve_sizes(n)
        found[name] = {
            "samples": sizes,
            "distinct": [round(float(v), 2) for v in rarefaction(counts, sizes, n_draws=n)],
        }
    return found
