"""Samples that meet a request: pools of particles, one after the other, each a function of (seed, its number)."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from wyckoffkit import Protostructure, WyckoffkitError, format_label

from ..conditioning import Laws, Request, sample_request
from ..streams import Streams
from .draw import Sample, Tally, describe, has_label
from .model import Model

PARTICLES = 256
SAMPLES_A_POOL = 8
"""A pool's samples share ancestors, so it yields far fewer of them than it has particles."""
EMPTY_POOLS = 32
"""So many pools in a row without a sample end the command."""

Filter = Callable[[Protostructure], bool]


@dataclass
class Fulfilment:
    """How hard the request was, over all pools so far."""

    samples: int = 0
    met: float = 0.0
    """Samples that meet the request."""
    effective: list[float] = field(default_factory=list)
    """Effective particles of each pool."""
    probability: list[float] = field(default_factory=list)
    """Each pool's unbiased estimate of the probability that a sample of the model meets the request."""

    def __str__(self) -> str:
        if not self.probability:
            return "no sample meets the request"
        p = np.array(self.probability)
        error = f" ± {p.std(ddof=1) / math.sqrt(len(p)):.1e}" if len(p) > 1 else ""
        return (
            f"the request is met by {100 * self.met / max(self.samples, 1):.1f} % of the samples; "
            f"{np.mean(self.effective):.0f} effective of {PARTICLES} particles a pool; "
            f"the model meets it with probability {p.mean():.2e}{error}"
        )


def filters(model: Model, *, novel: bool, no_collapse: bool, charge_neutral: bool) -> tuple[Filter, ...]:
    """Conditions that only whole materials can be asked. WyckoffkitError where one needs a package that is missing."""
    chosen: list[Filter] = []
    if novel:
        chosen.append(lambda p: not model.reference.knows_labels([_label(model, p)])[0])
    if no_collapse:
        from wyckoffkit.collapse import collapses

        chosen.append(lambda p: not collapses(p))
    if charge_neutral:
        try:
            screening = importlib.import_module("smact.screening")
        except ImportError:
            raise WyckoffkitError("--charge-neutral needs smact: pip install 'wyckoffkit[evaluate]'") from None
        chosen.append(lambda p: bool(screening.smact_validity("".join(f"{e}{n}" for e, n in p.composition.items()))))
    return tuple(chosen)


def _label(model: Model, p: Protostructure) -> str:
    return format_label(p.canonical(model.checkpoint.profile))


def iterate_request(
    model: Model,
    n: int,
    request: Request,
    *,
    wanted: Sequence[Filter] = (),
    seed: int = 0,
    first: int = 0,
    tally: Tally | None = None,
    fulfilment: Fulfilment | None = None,
) -> Iterator[Sample]:
    """Samples number `first` … that meet the request, until n have been yielded; one pool in memory at a time.

    Sample i is the (i mod 8)-th of pool i div 8, and an empty pool's numbers are passed over. Raises WyckoffkitError
    for a request that cannot be met, and for a model without the jump objective.
    """
    if model.checkpoint.config.objective != "jump":
        raise WyckoffkitError("conditions need a model with the jump objective; this one was trained with d3pm")
    laws = Laws(
        torch.from_numpy(np.asarray(model.reference.space_group_probability)),
        torch.from_numpy(np.asarray(model.token_law)),
    )
    tally = tally if tally is not None else Tally()
    fulfilment = fulfilment if fulfilment is not None else Fulfilment()
    left, pool, empty = n, first // SAMPLES_A_POOL, 0
    while left > 0:
        drawn = _pool(model, request, laws, wanted, seed, pool, fulfilment)
        empty = 0 if drawn else empty + 1
        if empty == EMPTY_POOLS:
            raise WyckoffkitError(
                f"none of {EMPTY_POOLS * PARTICLES:,} particles met the request: it is rare, or impossible"
            )
        start = pool * SAMPLES_A_POOL
        for item in describe(model, drawn, np.ones(len(drawn), np.int64), start):
            if item.number < first or left == 0:
                continue
            tally.drawn += 1
            tally.kept += 1
            tally.novel += item.novel
            tally.novel_prototypes += item.novel_prototype
            left -= 1
            yield item
        pool += 1


def _pool(
    model: Model,
    request: Request,
    laws: Laws,
    wanted: Sequence[Filter],
    seed: int,
    pool: int,
    fulfilment: Fulfilment,
) -> list[Protostructure]:
    config = model.checkpoint.config
    streams = Streams.of(seed, torch.arange(pool * PARTICLES, (pool + 1) * PARTICLES)).to(model.device)
    try:
        found = sample_request(
            model.network,
            request,
            laws,
            streams,
            n_samples=SAMPLES_A_POOL,
            n_elements=config.n_elements,
            max_count=config.max_count,
            filters=wanted,
        )
    except WyckoffkitError as error:
        if "particles met the request" not in str(error):
            raise
        fulfilment.probability.append(0.0)
        fulfilment.effective.append(0.0)
        return []
    fulfilment.probability.append(float(found.log_probability.exp().mean()))
    fulfilment.effective.append(float(found.effective_particles.mean()))
    columns = found.batch.to_columns()
    fulfilment.samples += len(columns)
    fulfilment.met += found.satisfaction * len(columns)
    return [
        columns.protostructure(int(i)).canonical(model.checkpoint.profile) for i in np.flatnonzero(has_label(columns))
    ]
