"""All numbers of an evaluation, as one value that is written as JSON and shown as a table or a report."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from wyckoffkit import DatasetError, __version__, tables
from wyckoffkit.metrics import DISTRIBUTIONS, Divergence, Estimate, categorise, divergence

from .distance import EmbeddingResult, compare_embeddings
from .lines import curves_of_lines, held_out_lines, resampled_lines
from .samples import Samples
from .shares import Known, curves, known_among, memorisation, shares, sweep_of
from .trainingset import Reference

if TYPE_CHECKING:
    from pathlib import Path

    from ..extractor.embed import Extractor
    from .bits import Likelihoods

FORMAT_VERSION = 2
GALLERY = 24


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Numbers with their intervals, and what they were computed from."""

    samples: Samples
    reference: Reference
    known: Known
    metrics: Mapping[str, Estimate]
    divergences: Mapping[str, Divergence]
    distributions: Mapping[str, Mapping[str, tuple[int, int | None]]]
    """By name and category: materials among the samples, and in the reference where that is known."""
    curves: Mapping[str, Any]
    embedding: EmbeddingResult | None
    notes: tuple[str, ...] = ()
    """What could not be measured, and why."""
    seed: int = 0
    seconds: float | None = None
    """How long sampling took, if that was told."""
    command: str = ""
    gallery: tuple[Mapping[str, Any], ...] = field(default=())
    sweep: tuple[Mapping[str, Any], ...] = field(default=())
    likelihoods: Likelihoods | None = None
    """Where the model that drew the samples is at hand."""

    @property
    def lines(self) -> Mapping[str, Estimate]:
        """What held-out real data reaches, by the names of `metrics`."""
        facts = self.reference.facts
        n, n_novel = len(self.samples.labels), int((~self.known.label).sum())
        return held_out_lines(facts, n, n_novel) if facts is not None else {}

    @property
    def resampled(self) -> Mapping[str, float]:
        """What as many draws from the training set itself show, by the names of `metrics`."""
        facts = self.reference.facts
        return resampled_lines(facts, len(self.samples.labels)) if facts is not None else {}

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        samples, reference = self.samples, self.reference
        return {
            "format_version": FORMAT_VERSION,
            "versions": {"wyckoffkit": __version__, "python": platform.python_version(), "numpy": np.__version__},
            "command": self.command,
            "table_digest": tables.digest(),
            "profile": samples.profile,
            "seed": self.seed,
            "samples": {
                "source": samples.source,
                "lines": samples.n_lines,
                "valid": len(samples.labels),
                "rejected": [{"line": r.line, "text": r.text, "reason": r.reason} for r in samples.rejected],
                "reasons": samples.reasons,
                "seconds": self.seconds,
                "symprec": samples.symprec,
            },
            "reference": {
                "source": reference.source,
                "materials": reference.n,
                "distinct_labels": len(reference.labels),
                "distinct_prototypes": len(reference.prototypes),
                "rejected": reference.n_rejected,
                "key": reference.key,
                "provenance": dict(reference.provenance),
            },
            "metrics": {name: estimate.to_dict() for name, estimate in self.metrics.items()},
            "lines": {name: estimate.to_dict() for name, estimate in self.lines.items()},
            "resampled": dict(self.resampled),
            "embedding": None if self.embedding is None else self.embedding.to_dict(),
            "likelihoods": None if self.likelihoods is None else self.likelihoods.to_dict(),
            "divergences": {name: found.to_dict() for name, found in self.divergences.items()},
            "distributions": {
                name: {category: {"samples": ours, "reference": theirs} for category, (ours, theirs) in rows.items()}
                for name, rows in self.distributions.items()
            },
            "rarefaction": dict(self.curves),
            "symprec_sweep": list(self.sweep),
            "gallery": [dict(entry) for entry in self.gallery],
            "notes": list(self.notes),
        }


def evaluate(
    samples: Samples,
    reference: Reference,
    *,
    extractor: Extractor | None = None,
    seed: int = 0,
    seconds: float | None = None,
    command: str = "",
    model: Path | None = None,
) -> Evaluation:
    """Measure samples against a reference, and by `model`, the checkpoint that drew them.

    Raises DatasetError where their profiles differ or no sample is valid.
    """
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
    counts = reference.counts if reference.facts is None else reference.facts.counts
    categories = {name: categorise(name, samples.columns) for name in DISTRIBUTIONS}
    known = known_among(samples, reference)
    metrics = shares(samples, reference, known)
    if reference.facts is not None:
        metrics |= memorisation(samples, reference, reference.facts)
    if seconds:
        per_minute = len({label for label, is_known in zip(samples.labels, known.label, strict=True) if not is_known})
        novel = metrics["valid, unique and novel, of all lines"]
        scale = 60 * novel.n / seconds
        metrics["novel a minute"] = Estimate(per_minute * 60 / seconds, novel.low * scale, novel.high * scale, novel.n)
    embedding, notes = _embedding(samples, known, reference, extractor, generator)
    likelihoods = None
    if model is not None:
        from .bits import measure_bits  # which needs the network

        likelihoods = measure_bits(model, samples, reference, generator, seed=seed)
        notes += (likelihoods.note,) if likelihoods.note else ()
    return Evaluation(
        samples,
        reference,
        known,
        metrics,
        {name: divergence(found, counts[name], generator) for name, found in categories.items() if name in counts},
        {
            name: {
                category: (int(ours), int(counts[name][k]) if name in counts else None)
                for k, (category, ours) in enumerate(zip(found.names, found.counts, strict=True))
                if ours or (name in counts and counts[name][k])
            }
            for name, found in categories.items()
        },
        curves(samples, known) | (curves_of_lines(reference.facts, len(samples.labels)) if reference.facts else {}),
        embedding,
        notes,
        seed,
        seconds,
        command,
        _gallery(samples, known, embedding, generator),
        sweep_of(samples, reference),
        likelihoods,
    )


def _embedding(
    samples: Samples,
    known: Known,
    reference: Reference,
    extractor: Extractor | None,
    generator: np.random.Generator,
) -> tuple[EmbeddingResult | None, tuple[str, ...]]:
    if extractor is None:
        return None, ("FWD was not measured: no extractor was used",)
    if reference.facts is None or reference.facts.embedding is None:
        where = f"no facts with embeddings lie beside {reference.source}"
        return None, (f"FWD was not measured: {where}; give the training data as --reference",)
    from ..extractor.remembered import embed_labels

    seen = embed_labels(extractor, samples.labels, samples.columns)
    found = compare_embeddings(seen, ~known.label, reference.facts.embedding, extractor, generator)
    if found.n_unknown:
        return found, (f"{found.n_unknown:,} samples hold an element without features (beyond Lr) and are in no FWD",)
    return found, ()


def _gallery(
    samples: Samples, known: Known, embedding: EmbeddingResult | None, generator: np.random.Generator
) -> tuple[dict[str, Any], ...]:
    """Some distinct samples, drawn at random, the novel ones first."""
    first = {label: i for i, label in reversed(list(enumerate(samples.labels)))}
    drawn = generator.permutation(np.array(sorted(first.values()), dtype=np.int64))
    chosen = sorted(drawn.tolist(), key=lambda i: bool(known.label[i]))[:GALLERY]
    entries = []
    for i in chosen:
        protostructure = samples.columns.protostructure(i)
        energy = None if embedding is None or np.isnan(embedding.energy[i]) else round(float(embedding.energy[i]), 3)
        entries.append(
            {
                "label": samples.labels[i],
                "prototype": samples.prototypes[i],
                "space_group": f"{protostructure.space_group.symbol} ({protostructure.space_group.number})",
                "composition": protostructure.composition,
                "novel": not bool(known.label[i]),
                "novel_prototype": not bool(known.prototype[i]),
                "predicted_formation_energy": energy,
            }
        )
    return tuple(entries)
