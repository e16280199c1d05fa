"""Do things happen as often as the model says? Predictions of positions and elements on materials it has not seen.

A jump model is asked about materials with some tokens taken away: on which position the next token is (*site*), and
which element it has, given its position (*element*). A D3PM model is asked about noised materials: whether an empty
variable is occupied (*site*), and by which element where it is a constrained position that is (*element*).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from wyckoffkit import Protostructure
from wyckoffkit.encoding import to_columns
from wyckoffkit.metrics import proportion

from ..batch import Batch
from ..diffusion import Diffusion, jump_targets, legal, position_logits
from ..sampler import ask, uniforms
from ..sampler.answers import chances
from ..streams import Draw, Streams

if TYPE_CHECKING:
    from .scorer import Scorer

    Array = np.ndarray[Any, np.dtype[Any]]

EDGES = (0.0, 0.0001, 0.001, 0.01, 0.05, *(i / 10 for i in range(1, 10)), 0.95, 1.0)
"""Most predictions are small: the lowest bins are narrow."""


@dataclass(frozen=True)
class Bin:
    """Predictions from `low` to `high`."""

    low: float
    high: float
    n: int
    predicted: float
    """Their mean."""
    observed: float
    """Share of those that came true."""
    observed_low: float
    observed_high: float
    """Wilson's interval, 95 %: cautious, since predictions of one question exclude each other."""
    z: float
    """(observed - predicted) / the standard deviation that calibrated predictions would have."""


class Reliability:
    """Predictions and what happened, bin by bin, in constant memory."""

    def __init__(self) -> None:
        n = len(EDGES) - 1
        self.n, self.predicted, self.happened, self.variance = (np.zeros(n) for _ in range(4))

    def add(self, p: Tensor, happened: Tensor) -> None:
        """Probabilities (M,) and whether each came true (M,); what was said to be impossible is left out."""
        keep = (p > 0).flatten()
        values, true = (x.flatten()[keep].double().cpu().numpy() for x in (p, happened))
        at = np.clip(np.searchsorted(EDGES, values, side="left") - 1, 0, len(self.n) - 1)
        for total, of in (
            (self.n, np.ones_like(values)),
            (self.predicted, values),
            (self.happened, true),
            (self.variance, values * (1 - values)),
        ):
            total += np.bincount(at, of, len(total))

    def bins(self) -> list[Bin]:
        """Those that hold predictions."""
        found = []
        for i in self.n.nonzero()[0]:
            n, expected = int(self.n[i]), self.predicted[i]
            share = proportion(round(self.happened[i]), n)
            z = (self.happened[i] - expected) / sqrt(max(self.variance[i], 1e-12))
            found.append(Bin(EDGES[i], EDGES[i + 1], n, expected / n, share.value, share.low, share.high, float(z)))
        return found

    def expected_error(self) -> float:
        """Σ over bins of |came true - predicted| / how many came true: 0 for perfect calibration, at most 2."""
        return float(np.abs(self.happened - self.predicted).sum() / max(self.happened.sum(), 1))


@dataclass(frozen=True)
class Calibration:
    """Of one model on held-out materials."""

    site: Reliability
    element: Reliability

    def to_dict(self) -> dict[str, Any]:
        return {
            name: {"expected_error": of.expected_error(), "bins": [asdict(one) for one in of.bins()]}
            for name, of in (("site", self.site), ("element", self.element))
        }


@torch.no_grad()
def calibration(
    scorer: Scorer,
    protostructures: Sequence[Protostructure],
    *,
    batch_size: int = 512,
    progress: Callable[[int], None] | None = None,
) -> Calibration:
    """One question a material, at a level of noise and in a setting that are functions of (seed, its place)."""
    found = Calibration(Reliability(), Reliability())
    columns = to_columns([p.canonical(scorer.profile) for p in protostructures])
    model = scorer.model
    for start in range(0, len(columns), batch_size):
        rows = np.arange(start, min(start + batch_size, len(columns)))
        random = Streams.of(scorer.seed, torch.from_numpy(rows))
        batch = scorer.in_setting(columns.select(rows), random.uniform(0, Draw.SETTING).numpy()).to(model.device)
        random = random.to(model.device)
        level = random.uniform(0, Draw.LEVEL)
        if scorer.is_jump:
            add_jump(found, model.network, batch, level, random)
        else:
            add_diffusion(found, model.network, model.diffusion, batch, level, random)
        if progress is not None:
            progress(len(rows))
    return found


def add_jump(found: Calibration, network: Any, batch0: Batch, level: Tensor, streams: Streams) -> None:
    """Questions about the next token, where `level` (B,) in [0, 1) of the tokens are there."""
    n = batch0.n_tokens()
    r = torch.minimum((level * n).long(), (n - 1).clamp(min=0))
    targets = jump_targets(batch0, r=r, uniform=uniforms(batch0, streams, 0, Draw.SUBSET))
    batch = targets.batch
    slots = legal(network.next_token(batch, targets.n_left), batch)
    p_position = position_logits(slots, batch).softmax(-1)  # (B, L)
    cells = torch.cat(
        [batch.constrained_cell[targets.constrained_row], batch.unconstrained_cell[targets.unconstrained_row]]
    )
    here = torch.zeros(p_position.numel(), dtype=torch.float64, device=p_position.device)
    here = here.index_add(0, cells, torch.ones_like(cells, dtype=torch.float64)).view_as(p_position)
    found.site.add(p_position, here / targets.n_left.clamp(min=1)[:, None])
    for logits, row, element in (
        (slots[0], targets.constrained_row, targets.constrained_element),
        (slots[1], targets.unconstrained_row, targets.unconstrained_element),
    ):
        p = logits[row].softmax(-1)  # (k, E)
        found.element.add(p, torch.nn.functional.one_hot(element, p.shape[1]))


def add_diffusion(
    found: Calibration, network: Any, diffusion: Diffusion, batch0: Batch, level: Tensor, streams: Streams
) -> None:
    """Questions about x0, at the step where `level` (B,) in [0, 1) falls."""
    T = diffusion.schedule.T
    t = (level * T).long().clamp(max=T - 1) + 1
    batch = diffusion.noise(batch0, t, uniform=uniforms(batch0, streams, 0, Draw.SUBSET))
    answer = ask(network, batch, t)
    empty = batch.constrained == 0, batch.unconstrained == 0
    for p, is_empty, x0 in zip(chances(answer), empty, (batch0.constrained, batch0.unconstrained), strict=True):
        found.site.add(p[is_empty], (x0 != 0)[is_empty])
    asked = (empty[0] & (batch0.constrained != 0)).nonzero().flatten()
    p = answer.constrained[asked].softmax(-1)
    found.element.add(p, torch.nn.functional.one_hot(batch0.constrained[asked] - 1, p.shape[1]))
