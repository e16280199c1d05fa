"""What the reference model says of candidates: how likely they are, their predicted energy, and what it was trained on.

The model is a program of its own (and not held to the types of this one), so it is imported by name, and late.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from importlib import import_module
from typing import Any

from wyckoffkit.discover import Candidate
from wyckoffkit.encoding import to_columns
from wyckoffkit.errors import ProtostructureError, RealizationError
from wyckoffkit.label import parse_label
from wyckoffkit.protostructure import Protostructure


def _load_model() -> Any:
    try:
        return import_module("reference_model.model").load_model()
    except ImportError as error:
        raise RealizationError(
            f"candidates are sampled and ranked with PyTorch: pip install 'wyckoffkit[model]' ({error})"
        ) from None


def judge(protostructures: Sequence[Protostructure]) -> list[Candidate]:
    """Bits a material by the shipped model, formation energies by the shipped Wrenformer; None beyond their reach."""
    model = _load_model()
    scorer = import_module("reference_model.score").Scorer(model)

    def within(protostructure: Protostructure) -> bool:
        try:
            scorer.check(protostructure)
        except ProtostructureError:
            return False
        return True

    scored = [p for p in protostructures if within(p)]
    bits = {p: score.bits for p, score in zip(scored, scorer.score(scored), strict=True)}
    extractor = import_module("reference_model.extractor.weights").read_extractor()
    energies = extractor.embed(to_columns(p.canonical(extractor.profile) for p in protostructures)).energy.tolist()
    return [
        Candidate(p, bits.get(p), energy if energy == energy else None)
        for p, energy in zip(protostructures, energies, strict=True)
    ]


class TrainingSet(Collection[str]):
    """The labels that the shipped model was trained on, of which it keeps the fingerprints."""

    def __init__(self) -> None:
        model = _load_model()
        self._fingerprints = model.reference.labels
        self._profile: str = model.checkpoint.profile

    def __contains__(self, label: object) -> bool:
        reference = import_module("reference_model.reference")
        canonical = str(parse_label(str(label)).canonical(self._profile))
        return bool(reference.contains(self._fingerprints, reference.fingerprints([canonical]))[0])

    def __len__(self) -> int:
        return len(self._fingerprints)

    def __iter__(self) -> Iterator[str]:
        raise TypeError("fingerprints are no labels")
