"""What the reference model says of candidates: how likely they are, their predicted energy, and what it was trained on.

Imported late: the model needs PyTorch, which the toolkit does without.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from wyckoffkit.discover import Candidate
from wyckoffkit.encoding import to_columns
from wyckoffkit.errors import ProtostructureError, RealizationError
from wyckoffkit.label import parse_label
from wyckoffkit.protostructure import Protostructure

if TYPE_CHECKING:
    from reference_model.model import Model


def _load_model() -> Model:
    try:
        from reference_model.model import load_model
    except ImportError as error:
        raise RealizationError(
            f"candidates are sampled and ranked with PyTorch: pip install 'wyckoffkit[model]' ({error})"
        ) from None
    return load_model()


def judge(protostructures: Sequence[Protostructure]) -> list[Candidate]:
    """Bits a material by the shipped model, formation energies by the shipped Wrenformer; None beyond their reach."""
    model = _load_model()
    from reference_model.extractor.weights import read_extractor
    from reference_model.score import Scorer

    scorer = Scorer(model)

    def within(protostructure: Protostructure) -> bool:
        try:
            scorer.check(protostructure)
        except ProtostructureError:
            return False
        return True

    scored = [p for p in protostructures if within(p)]
    bits = {p: score.bits for p, score in zip(scored, scorer.score(scored), strict=True)}
    extractor = read_extractor()
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
        from reference_model.reference import contains, fingerprints

        canonical = str(parse_label(str(label)).canonical(self._profile))
        return bool(contains(self._fingerprints, fingerprints([canonical]))[0])

    def __len__(self) -> int:
        return len(self._fingerprints)

    def __iter__(self) -> Iterator[str]:
        raise TypeError("fingerprints are no labels")
