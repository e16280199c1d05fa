"""The loss of a micro-batch, as one module: what the network is asked, and how its answer is scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wyckoffkit import CheckpointError

from ..batch import Batch
from ..checkpoint import Checkpoint, diffusion_of
from ..diffusion import (
    Diffusion,
    JumpTargets,
    bound_loss,
    count_loss,
    cross_entropy,
    factored_cross_entropy,
    jump_loss,
    jump_targets,
    occupied_slots,
    thin,
)


@dataclass(frozen=True, eq=False)
class Question:
    """A noised micro-batch and what the network should answer. Made on the CPU, where its shapes depend on the data."""

    clean: Batch
    noised: Batch | None = None
    t: Tensor | None = None
    """(B,) int64 step of the noise (D3PM)."""
    jump: JumpTargets | None = None
    thinned: Batch | None = None
    u: Tensor | None = None
    """(b,) float64 level of the thinning, and `n_left` (b,) int64 tokens it took (count head)."""
    n_left: Tensor | None = None
    occupied_row: Tensor | None = None
    """(k,) and `occupied_element` (k,): occupied slots of the clean unconstrained positions (D3PM, factored)."""
    occupied_element: Tensor | None = None

    def to(self, device: torch.device) -> Question:
        """Nobody waits for the copy where this is in page-locked memory."""
        return self if device.type == "cpu" else self._moved(lambda part: part.to(device, non_blocking=True))

    def pin_memory(self) -> Question:
        """The same in page-locked memory."""
        return self._moved(lambda part: part.pin_memory())

    def _moved(self, how: Callable[[Any], Any]) -> Question:
        parts = {name: getattr(self, name) for name in self.__dataclass_fields__}
        moved: dict[str, Any] = {name: part if part is None else how(part) for name, part in parts.items()}
        return Question(**moved)


class Objective(nn.Module):
    """Mean loss a material: `ask` noises a micro-batch of clean materials, `forward` scores the network's answers.

    D3PM: cross-entropy of x0 at a random step (WyckoffDiff eq. 8), weighted by variable as published or by material;
    or the variational bound; or the hybrid of both (Austin et al. eq. 5) with `hybrid_weight` for the cross-entropy.
    Jump: minus the log probability of the missing tokens (MATH section 6), in nats a material; the first `count_share`
    of the materials also train the count head. Models that are told a property are not told it of a share of the
    materials, and also learn the space group from it.
    """

    def __init__(
        self,
        network: Any,
        checkpoint: Checkpoint,
        weighting: str,
        count_share: float = 0.0,
        condition_dropout: float = 0.0,
        *,
        loss: str = "cross-entropy",
        hybrid_weight: float = 0.0,
    ) -> None:
        super().__init__()
        if loss != "cross-entropy" and checkpoint.config.objective != "d3pm":
            raise CheckpointError(
                f"the loss {loss!r} belongs to the d3pm objective, not to {checkpoint.config.objective}"
            )
        self.loss, self.hybrid_weight = loss, hybrid_weight if loss == "hybrid" else 0.0
        self._diffusion_on: dict[torch.device, Diffusion] = {}
        self.network: Any = network  # a Module with the answers of its objective
        self.config = checkpoint.config
        self.weighting = weighting
        self.count_share = count_share if checkpoint.config.objective == "jump" else 0.0
        self.condition_dropout = condition_dropout
        self.diffusion = diffusion_of(checkpoint)

    def ask(self, clean: Batch, generator: torch.Generator) -> Question:
        """Draw the noise of a micro-batch, on the CPU."""
        if clean.condition is not None:
            hidden = torch.rand(clean.n_materials, generator=generator) < self.condition_dropout
            clean = clean.with_condition(clean.condition.masked_fill(hidden, torch.nan))
        if self.config.objective == "d3pm":
            t = self.diffusion.draw_t(clean.n_materials, generator)
            noised = self.diffusion.noise(clean, t, generator)
            row, element = occupied_slots(clean)
            return Question(clean, noised=noised, t=t, occupied_row=row, occupied_element=element)
        jump = jump_targets(clean, generator)
        n_counted = round(self.count_share * clean.n_materials)
        if n_counted == 0:
            return Question(clean, jump=jump)
        some = _first(clean, n_counted)
        u = torch.rand(n_counted, generator=generator, dtype=torch.float64).clamp(min=1e-6)
        thinned = thin(some, u, generator)
        return Question(clean, jump=jump, thinned=thinned, u=u, n_left=some.n_tokens() - thinned.n_tokens())

    def forward(self, question: Question) -> Tensor:
        loss = self._occupation(question)
        if self.config.condition:
            clean = question.clean
            loss = loss + F.cross_entropy(self.network.space_group_logits(clean), clean.space_group)
        return loss

    def _occupation(self, question: Question) -> Tensor:
        if question.jump is None:
            if self.loss != "cross-entropy":
                return self._bound(question)
            if self.config.architecture == "compact":
                slots = self.network.occupancy(question.noised, question.t)
                assert question.occupied_row is not None
                assert question.occupied_element is not None
                occupied = question.occupied_row, question.occupied_element
                return factored_cross_entropy(slots, question.clean, occupied, weighting=self.weighting)
            logits = self.network(question.noised, question.t)
            return cross_entropy(logits, question.clean, weighting=self.weighting)
        tokens = self.network.next_token(question.jump.batch, question.jump.n_left)
        loss = jump_loss(tokens, question.jump)
        if question.thinned is not None:
            assert question.n_left is not None
            assert question.u is not None
            logits = self.network.n_left_logits(question.thinned)
            loss = loss + self.count_share * count_loss(logits, question.n_left, question.u)
        return loss

    def _bound(self, question: Question) -> Tensor:
        """Of all variables: the bound needs the law of every class."""
        assert question.noised is not None
        assert question.t is not None
        device = question.noised.device
        if device not in self._diffusion_on:
            self._diffusion_on[device] = self.diffusion.to(device)
        logits = self.network(question.noised, question.t)
        return bound_loss(
            self._diffusion_on[device],
            logits,
            question.clean,
            question.noised,
            question.t,
            self.weighting,
            self.hybrid_weight,
        )


def _first(batch: Batch, n: int) -> Batch:
    """The first n materials."""
    some = Batch.empty(batch.space_group[:n], batch.n_elements)
    if batch.condition is not None:
        some = some.with_condition(batch.condition[:n])
    return some.with_state(batch.constrained[: len(some.constrained)], batch.unconstrained[: len(some.unconstrained)])
