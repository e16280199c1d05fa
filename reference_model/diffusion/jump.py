"""The jump objective: the next token given what is there and how many are missing (zeros prior, MATH section 6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..batch import Batch
from .answers import TokenLogits, legal, position_logits


@dataclass(frozen=True, eq=False)
class JumpTargets:
    """Materials with some tokens taken away, and the tokens that are missing."""

    batch: Batch
    """What is left, S."""
    n_left: Tensor
    """(B,) int64, N = n - r tokens missing."""
    n_tokens: Tensor
    """(B,) int64, n."""
    constrained_row: Tensor
    """(kc,) packed row of each missing token on a constrained position."""
    constrained_element: Tensor
    """(kc,) 0 is H."""
    unconstrained_row: Tensor
    """(ku,)."""
    unconstrained_element: Tensor
    """(ku,) 0 is H."""
    unconstrained_count: Tensor
    """(ku,) 1 … P."""

    def _moved(self, how: Callable[[Tensor], Tensor], batch: Batch) -> JumpTargets:
        rest = {name: how(getattr(self, name)) for name in self.__dataclass_fields__ if name != "batch"}
        return JumpTargets(batch, **rest)

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> JumpTargets:
        batch = self.batch.to(device, non_blocking=non_blocking)
        return self._moved(lambda x: x.to(device, non_blocking=non_blocking), batch)

    def pin_memory(self) -> JumpTargets:
        return self._moved(lambda x: x.pin_memory(), self.batch.pin_memory())


def jump_targets(
    batch0: Batch,
    generator: torch.Generator | None = None,
    r: Tensor | None = None,
    *,
    uniform: tuple[Tensor, Tensor] | None = None,
) -> JumpTargets:
    """Keep a random r-subset S of each material's n tokens; the rest is the target. r (B,) is uniform on 0 … n - 1.

    With `uniform`, (C,) and (U, E) in [0, 1), the r tokens with the least numbers are kept.
    Made on the CPU while a batch is loaded: the loss then needs no data-dependent shapes on the device.
    """
    c_row = batch0.constrained.nonzero().flatten()
    u_row, u_element = batch0.unconstrained.nonzero(as_tuple=True)
    material = torch.cat([batch0.constrained_material[c_row], batch0.unconstrained_material[u_row]])
    n = torch.bincount(material, minlength=batch0.n_materials)
    device = batch0.device
    if r is None:
        level = torch.rand(len(n), generator=generator, device=device, dtype=torch.float64)
        r = torch.minimum((level * n).long(), (n - 1).clamp(min=0))
    if uniform is None:
        keys = torch.rand(len(material), generator=generator, device=device, dtype=torch.float64)
    else:
        keys = torch.cat([uniform[0][c_row], uniform[1][u_row, u_element]]).double()
    order = (material + keys).argsort()
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=device)
    missing = rank - (n.cumsum(0) - n)[material] >= r[material]
    c_missing, u_missing = missing[: len(c_row)], missing[len(c_row) :]
    c_row, u_row, u_element = c_row[c_missing], u_row[u_missing], u_element[u_missing]
    return JumpTargets(
        batch=batch0.with_state(
            batch0.constrained.index_fill(0, c_row, 0),
            batch0.unconstrained.index_put((u_row, u_element), torch.zeros_like(u_row)),
        ),
        n_left=n - r,
        n_tokens=n,
        constrained_row=c_row,
        constrained_element=batch0.constrained[c_row] - 1,
        unconstrained_row=u_row,
        unconstrained_element=u_element,
        unconstrained_count=batch0.unconstrained[u_row, u_element],
    )


def jump_terms(tokens: TokenLogits, targets: JumpTargets) -> Tensor:
    """-(1/N) Σ_{τ missing} log p(τ | S, N) in nats, (B,): times n an unbiased token part of the jump bound."""
    batch = targets.batch
    slots = legal(tokens, batch)
    normaliser = position_logits(slots, batch).logsumexp(-1)  # (B,)
    c_material = batch.constrained_material[targets.constrained_row]
    u_material = batch.unconstrained_material[targets.unconstrained_row]
    c_log_p = slots[0][targets.constrained_row, targets.constrained_element] - normaliser[c_material]
    counts = tokens.count(targets.unconstrained_row, targets.unconstrained_element).float()
    u_log_p = (
        slots[1][targets.unconstrained_row, targets.unconstrained_element]
        - normaliser[u_material]
        - F.cross_entropy(counts, targets.unconstrained_count - 1, reduction="none")
    )
    total = torch.zeros_like(normaliser).index_add(0, c_material, c_log_p).index_add(0, u_material, u_log_p)
    return -total / targets.n_left.clamp(min=1)


def jump_loss(tokens: TokenLogits, targets: JumpTargets, weighting: str = "material") -> Tensor:
    """The jump objective, a scalar: "material" weights each material by its n (nats of the bound), "token" by 1."""
    terms = jump_terms(tokens, targets)
    if weighting == "material":
        return (terms * targets.n_tokens).mean()
    if weighting == "token":
        return terms.mean()
    raise ValueError(f"weighting is 'material' or 'token', got {weighting!r}")


def thin(batch0: Batch, u: Tensor, generator: torch.Generator | None = None) -> Batch:
    """Delete each token with its material's probability u (B,): the zeros prior's forward process at level u."""
    keep_c = torch.rand(batch0.constrained.shape, generator=generator, device=batch0.device)
    keep_u = torch.rand(batch0.unconstrained.shape, generator=generator, device=batch0.device)
    return batch0.with_state(
        batch0.constrained * (keep_c >= u[batch0.constrained_material]),
        batch0.unconstrained * (keep_u >= u[batch0.unconstrained_material, None]),
    )


def count_loss(n_left_logits: Tensor, n_left: Tensor, u: Tensor) -> Tensor:
    """Cross-entropy of the count head, a scalar: P(N | S, u) = softmax_N(f_N(S) + N log u), S thinned at u (B,).

    With u uniform the logits (B, N_max + 1) then hold log π_S(N) for every u, and at u = 1 for S = ∅ log p(n | s).
    """
    N = torch.arange(n_left_logits.shape[1], device=u.device)
    return F.cross_entropy(n_left_logits.float() + N * u.log()[:, None].float(), n_left)
