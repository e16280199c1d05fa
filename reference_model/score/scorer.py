"""Upper bounds on -log2 p of materials, each a function of (model, seed, material) alone.

A material is its canonical form: how a label writes it, beside which others and in which batch makes no difference,
since its random numbers come from a stream that is keyed by its own label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from wyckoffkit import Protostructure, ProtostructureError, WyckoffkitError, format_label
from wyckoffkit.canonical import equivalent_settings as settings_of
from wyckoffkit.encoding import WyckoffColumns, to_columns

from ..batch import Batch, group_tables
from ..likelihood import NAT, Bits, jump_draw, over_settings, space_group_bits, token_count_bits, variational_draw
from ..model import Model
from ..reference import contains, fingerprints
from ..streams import Draw, Streams
from ..train.data import count_settings, equivalent_settings
from .exact import log_probability

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]


# Draw i under seed k has the streams of seed k * MOST_DRAWS + i.
MOST_DRAWS = 1 << 20


@dataclass(frozen=True, slots=True)
class Score:
    """A bound on -log2 p of one material, and its parts, which add up to it."""

    label: str
    """Canonical in the profile of the checkpoint."""
    bits: float
    bits_error: float
    """Standard error of the estimate (Monte Carlo)."""
    space_group_bits: float
    token_count_bits: float | None
    """-log2 p̂(n | s); None for models that draw no number of tokens."""
    occupation_bits: float
    """What the network says, in one setting."""
    settings_bits: float
    """-log2 of how many equivalent settings training drew from; 0 where it saw the canonical one alone."""
    exact: bool
    """Not a bound but -log2 p, summed over all orders of the tokens."""
    novel: bool
    """The label is not in the training set."""
    reweighted_bits: float | None = None
    """Under the weights for novelty, where the model has some and its bits were measured as for them."""


class Scorer:
    """Scores of a model's materials; p̂(s) and p̂(n | s) are those of its reference pack.

    Where training drew settings at random, so does each draw here: by Jensen's inequality the mean of -log2 p over the
    settings minus log2 of their number bounds -log2 of the sum of p from above. Else the canonical setting is scored.
    Jump models are summed exactly for materials of up to `exact` occupied slots: 2^n network evaluations a setting.
    A space group that training lacks counts as half a material, as in validation.
    """

    def __init__(self, model: Model, *, repeats: int = 4, seed: int = 0, exact: int = 0) -> None:
        if repeats < 1:
            raise ValueError(f"one repeat or more, got {repeats}")
        self.model, self.repeats, self.seed = model, repeats, seed
        self.config, self.profile = model.checkpoint.config, model.checkpoint.profile
        self.is_jump, self.exact = self.config.objective == "jump", exact
        if exact and not self.is_jump:
            raise WyckoffkitError(f"exact scores need a jump model, this one was trained as {self.config.objective}")
        self.augmentation = augmentation_of(model)
        groups = np.maximum(model.reference.space_group_count, 0.5)
        groups[0] = 0
        self.space_groups = torch.from_numpy(groups / groups.sum())
        self.token_law = torch.from_numpy(model.token_law)

    def check(self, protostructure: Protostructure) -> None:
        """Raise ProtostructureError where the model gives a material no probability: it is beyond its variables."""
        row = to_columns([protostructure])
        limits = [
            ("atomic number", int(row.element.max()), self.config.n_elements),
            ("orbits of an element on one position", int(row.count.max()), self.config.max_count),
        ]
        if self.is_jump:
            limits.append(("occupied slots", len(row.element), self.token_law.shape[1] - 1))
        for name, value, limit in limits:
            if value > limit:
                raise ProtostructureError(f"{name}: the model ends at {limit}, got {value}")

    def score(
        self,
        protostructures: Sequence[Protostructure],
        *,
        batch_size: int = 512,
        progress: Callable[[int], None] | None = None,
    ) -> list[Score]:
        """One for each, in that order. Raises ProtostructureError for a material beyond the model (see `check`)."""
        for p in protostructures:
            self.check(p)
        if not protostructures:
            return []
        canonical = [p.canonical(self.profile) for p in protostructures]
        labels = [format_label(p) for p in canonical]
        columns, keys = to_columns(canonical), fingerprints(labels)
        is_exact = np.diff(columns.offset) <= self.exact
        occupation = self._occupation(columns, keys, batch_size, progress, np.flatnonzero(~is_exact))
        for part in np.split(rows := np.flatnonzero(is_exact), range(batch_size, len(rows), batch_size)):
            occupation.bits[part] = self._summed([canonical[i] for i in part], batch_size)
            occupation.standard_error[part] = 0
            if progress is not None:
                progress(len(part))
        group = torch.from_numpy(columns.space_group.astype(np.int64))
        parts = {
            "space_group_bits": space_group_bits(group, self.space_groups),
            "occupation_bits": occupation.bits,
            "settings_bits": torch.from_numpy(1 / self._n_settings(columns)).log2(),
        }
        if self.is_jump:
            n_tokens = torch.from_numpy(np.diff(columns.offset))
            parts["token_count_bits"] = token_count_bits(group, n_tokens, self.token_law)
        total = torch.stack(list(parts.values())).sum(0)
        listed = {name: values.tolist() for name, values in parts.items()}
        listed.setdefault("token_count_bits", [None] * len(labels))
        novel = ~contains(self.model.reference.labels, keys)
        reweighted = self._reweighted(columns.space_group, total.numpy(), labels)
        return [
            Score(
                label=label,
                bits=float(total[i]),
                bits_error=float(occupation.standard_error[i]),
                exact=bool(is_exact[i]),
                novel=bool(novel[i]),
                reweighted_bits=reweighted[i],
                **{name: values[i] for name, values in listed.items()},
            )
            for i, label in enumerate(labels)
        ]

    def _reweighted(self, space_group: Array, bits: Array, labels: Sequence[str]) -> list[float] | list[None]:
        """-log2 of p times its weight, (N,)."""
        weights = self.model.checkpoint.reweighting
        if weights is None or (weights.exact, weights.repeats) != (self.exact, self.repeats):
            return [None] * len(labels)
        ratio = weights.density_ratio(space_group, self.model.reference.novelty(labels), bits)
        return (bits - np.log2(ratio)).tolist()

    def _n_settings(self, columns: WyckoffColumns) -> Array:
        if self.augmentation is None:
            return np.ones(len(columns), dtype=np.int64)
        return count_settings(columns, self.augmentation)

    @torch.no_grad()
    def _occupation(
        self,
        columns: WyckoffColumns,
        keys: Array,
        batch_size: int,
        progress: Callable[[int], None] | None,
        wanted: Array,
    ) -> Bits:
        """-log2 p(x0 | s, n) (jump) or -log2 p(x0 | s) (D3PM) of one setting; 0 for rows that are not `wanted`."""
        bits = Bits(*torch.zeros(2, len(columns), dtype=torch.float64))
        for part in batches(columns, wanted, batch_size):
            found = self._bound(columns.select(part), torch.from_numpy(keys[part].view(np.int64)))
            bits.bits[part], bits.standard_error[part] = found.bits.cpu(), found.standard_error.cpu()
            if progress is not None:
                progress(len(part))
        return bits

    def _summed(self, canonical: list[Protostructure], batch_size: int) -> Tensor:
        """-log2 of the mean of p(x0 | s, n) over the settings, (N,), nothing left out."""
        settings = [settings_of(p, self.augmentation) if self.augmentation else (p,) for p in canonical]
        if not settings:
            return torch.zeros(0, dtype=torch.float64)
        flat = to_columns(p for of_one in settings for p in of_one)
        log_p = log_probability(self.model.network, flat, self.config.n_elements, self.model.device, batch_size)
        n_settings = torch.tensor([len(of_one) for of_one in settings])
        material = torch.arange(len(settings)).repeat_interleave(n_settings)
        summed = over_settings(Bits(-log_p * NAT, torch.zeros_like(log_p)), material, len(settings))
        return summed.bits + n_settings.double().log2()

    def _bound(self, columns: WyckoffColumns, keys: Tensor) -> Bits:
        """Of a few materials: `repeats` strata of levels, with two independent draws in each."""
        draws = []
        for i in range(2 * self.repeats):
            random = Streams.of(self.seed * MOST_DRAWS + i, keys)
            batch = self.in_setting(columns, random.uniform(0, Draw.SETTING).numpy()).to(self.model.device)
            random = random.to(self.model.device)
            level = (i // 2 + random.uniform(0, Draw.LEVEL)) / self.repeats
            if self.is_jump:
                draws.append(jump_draw(self.model.network, batch, level, random))
            else:
                draws.append(variational_draw(self.model.network, batch, self.model.diffusion, level, random))
        orders = torch.lgamma(batch.n_tokens().double() + 1) if self.is_jump else torch.zeros_like(draws[0])
        return from_pairs(torch.stack(draws).view(self.repeats, 2, -1), -orders)

    def in_setting(self, columns: WyckoffColumns, uniform: Array) -> Batch:
        """Each material in the setting that its number in [0, 1) falls on."""
        if self.augmentation is not None:
            settings = equivalent_settings(self.augmentation)
            group = columns.space_group.astype(np.int64)
            chosen = settings.first[group] + (uniform * settings.number[group]).astype(np.int64)
            material = np.repeat(np.arange(len(group)), np.diff(columns.offset))
            columns = replace(columns, position=settings.image[chosen[material], columns.position])
        return Batch.from_columns(columns, None, self.config.n_elements)


def from_pairs(draws: Tensor, exact: Tensor) -> Bits:
    """Mean of draws (n_strata, 2, B) in nats plus an exact part (B,); the two of a stratum tell its variance."""
    error = (draws[:, 0] - draws[:, 1]).square().sum(0).sqrt() / (2 * len(draws))
    return Bits((draws.mean((0, 1)) + exact) * NAT, error * NAT)


def augmentation_of(model: Model) -> str | None:
    """The profile whose settings the training drew from, or None where it saw the canonical one alone."""
    asked = model.checkpoint.training.get("settings", {}).get("augmentation", "none")
    return {"none": None, "profile": model.checkpoint.profile}.get(asked, asked)


def batches(columns: WyckoffColumns, wanted: Array, size: int) -> Iterator[Array]:
    """The `wanted` indices, those with about as many positions together, so that the padded grid is mostly full."""
    order = wanted[np.argsort(group_tables().n_positions.numpy()[columns.space_group[wanted]], kind="stable")]
    for start in range(0, len(order), size):
        yield order[start : start + size]
