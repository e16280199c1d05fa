"""Samples that meet a request: pools of particles, one after the other, each a function of (seed, its number)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from wyckoffkit import WyckoffkitError, format_label

from ..conditioning import Filter, Laws, NoneMet, Request, opening, sample_request
from ..model import Model
from ..streams import Streams
from .draw import MOST_IN_VAIN, Sample, Tally, describe, has_label, nothing_more
from .processes import from_first_process, in_turn

FEWEST_PARTICLES, MOST_PARTICLES = 256, 4096
"""In a pool: as many as it takes for `ENOUGH` of them to be effective, or the most."""
ENOUGH = 32
FEWEST_SAMPLES, MOST_SAMPLES = 8, 64
"""Of a pool, which share ancestors: a quarter of its effective particles."""
EMPTY_PARTICLES = 32_768
"""So many particles in a row without a sample end the command."""


@dataclass
class Fulfilment:
    """How hard the request was, over all pools so far."""

    particles: int = 0
    """Of a pool."""
    samples: int = 0
    met: float = 0.0
    """Samples that meet the request."""
    effective: list[float] = field(default_factory=list)
    """Effective particles of each pool."""
    probability: list[float] = field(default_factory=list)
    """Each pool's unbiased estimate of the probability that a sample of the model meets the request."""

    def lines(self, n_distinct: int, n_samples: int) -> list[str]:
        """What to tell of it; nothing where no pool was drawn."""
        if not self.probability:
            return []
        told = [str(self)]
        if n_distinct < 0.5 * n_samples:
            told.append(
                f"warning: only {n_distinct} of the {n_samples} samples are distinct: the model knows few materials "
                "like these, or they are too rare for its particles to find more"
            )
        return told

    def __str__(self) -> str:
        p = np.array(self.probability)
        error = f" ± {p.std(ddof=1) / math.sqrt(len(p)):.1e}" if len(p) > 1 else ""
        return (
            f"the request is met by {100 * self.met / max(self.samples, 1):.1f} % of the samples; "
            f"{np.mean(self.effective):.0f} effective of {self.particles} particles a pool; "
            f"the model meets it with probability {p.mean():.2e}{error}"
        )


@dataclass(frozen=True, eq=False)
class Pools:
    """A request, ready to be drawn pool by pool."""

    model: Model
    request: Request
    laws: Laws
    outlook: torch.Tensor
    wanted: Sequence[Filter]
    seed: int

    @classmethod
    def of(cls, model: Model, request: Request, wanted: Sequence[Filter], seed: int) -> Pools:
        config = model.checkpoint.config
        laws = Laws(torch.from_numpy(model.space_group_law), torch.from_numpy(model.token_law))
        found = opening(model.network, request, laws, config.n_elements, config.max_count, model.device)
        return cls(model, request, laws, found, wanted, seed)

    def draw(self, number: int, particles: int, samples: int) -> dict[str, Any]:
        """One pool: its labels, its estimate of the probability, and how many particles were effective."""
        config = self.model.checkpoint.config
        keys = torch.arange(number * MOST_PARTICLES, number * MOST_PARTICLES + particles)
        try:
            found = sample_request(
                self.model.network,
                self.request,
                self.laws,
                Streams.of(self.seed, keys).to(self.model.device),
                n_samples=samples,
                n_elements=config.n_elements,
                max_count=config.max_count,
                filters=self.wanted,
                opening_outlook=self.outlook,
            )
        except NoneMet:
            return {"labels": [], "met": 0.0, "probability": 0.0, "effective": 0.0}
        columns = found.batch.to_columns()
        profile = self.model.checkpoint.profile
        chosen = [columns.protostructure(int(i)).canonical(profile) for i in np.flatnonzero(has_label(columns))]
        return {
            "labels": [format_label(p) for p in chosen],
            "met": found.satisfaction * len(columns),
            "probability": float(found.log_probability.exp().mean()),
            "effective": float(found.effective_particles.mean()),
        }

    def size(self) -> list[int]:
        """Particles of a pool and samples from it, by trials whose samples are not used."""
        particles = FEWEST_PARTICLES
        while True:
            effective = self.draw(-1, particles, 1)["effective"]
            if effective >= ENOUGH or particles == MOST_PARTICLES:
                return [particles, min(max(FEWEST_SAMPLES, int(effective / 4)), MOST_SAMPLES)]
            particles *= 4


def iterate_request(
    model: Model,
    n: int,
    request: Request,
    *,
    wanted: Sequence[Filter] = (),
    seen: set[int] | None = None,
    seed: int = 0,
    first: int = 0,
    tally: Tally | None = None,
    fulfilment: Fulfilment | None = None,
) -> Iterator[Sample]:
    """Samples number `first` … that meet the request, until n have been yielded; one pool in memory at a time.

    With A samples a pool, sample i is the (i mod A)-th of pool i div A, and numbers that a pool lacks are passed over;
    so are repetitions where `seen` (fingerprints of labels, which grow) is given.
    Raises WyckoffkitError for a request that cannot be met, and for a model without the jump objective.
    """
    if model.checkpoint.config.objective != "jump":
        raise WyckoffkitError("conditions need a model with the jump objective; this one was trained with d3pm")
    tally = tally if tally is not None else Tally()
    fulfilment = fulfilment if fulfilment is not None else Fulfilment()
    pools = Pools.of(model, request, wanted, seed)
    particles, samples = from_first_process(pools.size)
    fulfilment.particles = particles
    left, pool, empty, vain = n, first // samples, 0, 0
    if left == 0:
        return
    for found in in_turn(lambda block: pools.draw(first // samples + block, particles, samples)):
        fulfilment.probability.append(found["probability"])
        fulfilment.effective.append(found["effective"])
        fulfilment.samples += len(found["labels"])
        fulfilment.met += found["met"]
        empty = 0 if found["labels"] else empty + particles
        if empty >= EMPTY_PARTICLES:
            raise WyckoffkitError(f"none of {empty:,} particles met the request: it is rare, or impossible")
        labels = found["labels"]
        numbers = range(pool * samples, pool * samples + len(labels))
        for item in describe(model, labels, [1] * len(labels), numbers):
            if item.number < first:
                continue
            tally.drawn += 1
            tally.novel += item.novel
            tally.novel_prototypes += item.novel_prototype
            vain += 1
            if tally.is_repetition(item, seen):
                continue
            tally.kept += 1
            vain = 0
            left -= 1
            yield item
            if left == 0:
                return
        pool += 1
        if vain >= MOST_IN_VAIN // particles * samples:
            raise nothing_more(vain, tally)
