"""Fitting the weights: held-out materials and the model's own samples, both scored in the same way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wyckoffkit import Protostructure, ProtostructureError, WyckoffkitError, format_label, parse_label

from ..model import Model
from ..reweighting import Located, Reweighting, fit
from ..sample.draw import iterate
from ..score.scorer import Scorer

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]

REPEATS = 4
AT_ONCE = 2048


@dataclass(frozen=True, eq=False)
class Fitted:
    """Weights, and what they do to held-out materials that they were not fitted to."""

    reweighting: Reweighting
    held_out: Located
    drawn: Located
    test: Located

    def bits(self) -> tuple[float, float, float]:
        """(model's own bits a material, with the weights, standard error of the difference) of the test materials."""
        gained = np.log2(self.reweighting.density_ratio(self.test.space_group, self.test.novelty, self.test.bits))
        own = float(self.test.bits.mean())
        return own, own - float(gained.mean()), float(gained.std(ddof=1) / np.sqrt(len(gained)))

    def acceptance(self) -> float:
        """Share of the samples that stay."""
        weight = self.reweighting.weight(self.drawn.novelty, self.drawn.bits)
        factor = np.take(self.reweighting.group_factor, self.drawn.space_group)
        return float((weight * factor).sum() / factor.sum() / self.reweighting.bound)


def locate(
    model: Model, scorer: Scorer, protostructures: Sequence[Protostructure], progress: Callable[[int], None]
) -> Located:
    """Novelty and bits of the materials to which the model gives any probability."""
    known = [p.canonical(model.checkpoint.profile) for p in protostructures if _is_known(scorer, p)]
    labels = [format_label(p) for p in known]
    bits = [score.bits for score in scorer.score(known, progress=progress)]
    progress(len(protostructures) - len(known))
    groups = np.array([p.space_group.number for p in known], dtype=np.int64)
    return Located(groups, model.reference.novelty(labels), np.array(bits))


def _is_known(scorer: Scorer, protostructure: Protostructure) -> bool:
    try:
        scorer.check(protostructure)
    except ProtostructureError:
        return False
    return True


def fit_weights(
    model: Model,
    held_out: Sequence[str],
    test: Sequence[str],
    *,
    n_samples: int,
    seed: int = 0,
    bins: int = 12,
    exact: int = 4,
    progress: Callable[[int], None],
) -> Fitted:
    """Weights of `model` from held-out labels and `n_samples` of its own samples, measured on other labels, `test`.

    Bits are summed exactly up to `exact` occupied slots where the model is a jump model.

    `progress` is told of materials scored. Raises WyckoffkitError where there is too little to fit or to measure.
    """
    if min(len(held_out), n_samples) < 100 or len(test) < 2:
        raise WyckoffkitError(
            f"weights are fitted to 100 or more held-out materials and samples and measured on 2 or more others, "
            f"got {len(held_out)}, {n_samples} and {len(test)}"
        )
    exact = exact if model.checkpoint.config.objective == "jump" else 0
    scorer = Scorer(model, exact=exact, repeats=REPEATS)
    own = [sample.protostructure for sample in iterate(model, n_samples, seed=seed)]
    parts = []
    for materials in (own, list(map(parse_label, held_out)), list(map(parse_label, test))):
        blocks = [
            locate(model, scorer, materials[start : start + AT_ONCE], progress)
            for start in range(0, len(materials), AT_ONCE)
        ]
        names = ("space_group", "novelty", "bits")
        parts.append(Located(*(np.concatenate([getattr(block, name) for block in blocks]) for name in names)))
    drawn, fitted_to, measured = parts
    return Fitted(fit(fitted_to, drawn, bins=bins, exact=exact, repeats=REPEATS), fitted_to, drawn, measured)
