"""Noise and objectives over whole batches: cross-entropy, the variational bound, and the jump objective."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from reference_model.batch import Batch
from reference_model.transitions import Prior, Schedule, Step, forward_sample, occupancy, posterior

Logits = tuple[Tensor, Tensor]
"""Of x0 at each variable: constrained (C, E + 1) and unconstrained (U, E, P + 1)."""

MASKED = -1e30
"""Logit of what may not happen; finite, so that gradients of an all-masked row are 0 and not NaN."""


@dataclass(frozen=True)
class Diffusion:
    """The forward process of a model: one schedule, and a prior for each kind of variable."""

    schedule: Schedule
    constrained_prior: Prior
    """K = E + 1 classes: empty, then the elements."""
    unconstrained_prior: Prior
    """K = P + 1 classes: the orbits of one element."""

    @classmethod
    def of(
        cls,
        prior: str,
        n_elements: int,
        max_count: int,
        T: int = 1000,
        marginals: tuple[Tensor, Tensor] | None = None,
    ) -> Diffusion:
        """The process named "zeros", "uniform" or "marginal"; the last takes class frequencies (E + 1,), (P + 1,)."""
        if prior == "marginal":
            if marginals is None:
                raise ValueError("the marginal prior needs the class frequencies of a dataset")
            if (len(marginals[0]), len(marginals[1])) != (n_elements + 1, max_count + 1):
                raise ValueError(
                    f"marginals have {len(marginals[0])} and {len(marginals[1])} classes, "
                    f"the model {n_elements + 1} and {max_count + 1}"
                )
            pair = Prior.marginal(marginals[0]), Prior.marginal(marginals[1])
        elif prior in ("zeros", "uniform"):
            named = Prior.zeros if prior == "zeros" else Prior.uniform
            pair = named(n_elements + 1), named(max_count + 1)
        else:
            raise ValueError(f"the prior is 'zeros', 'uniform' or 'marginal', got {prior!r}")
        return cls(Schedule(T), *pair)

    @property
    def is_zeros(self) -> bool:
        """Whether the reverse process is a birth process."""
        return self.constrained_prior.is_zeros and self.unconstrained_prior.is_zeros

    def to(self, device: torch.device | str) -> Diffusion:
        return Diffusion(self.schedule, self.constrained_prior.to(device), self.unconstrained_prior.to(device))

    def noise(
        self,
        batch: Batch,
        t: Tensor,
        generator: torch.Generator | None = None,
        *,
        uniform: tuple[Tensor, Tensor] | None = None,
    ) -> Batch:
        """x_t ~ q(x_t | x0) at each material's own t (B,), 0 … T, from numbers (C,), (U, E) in [0, 1) if given."""
        alpha_bar = self.schedule.alpha_bar(t)  # (B,)
        of_c, of_u = alpha_bar[batch.constrained_material], alpha_bar[batch.unconstrained_material, None]
        if uniform is not None:
            return batch.with_state(
                forward_sample(batch.constrained, of_c, self.constrained_prior, uniform[0]),
                forward_sample(batch.unconstrained, of_u, self.unconstrained_prior, uniform[1]),
            )
        return batch.with_state(
            _noised(batch.constrained, of_c, self.constrained_prior, generator),
            _noised(batch.unconstrained, of_u, self.unconstrained_prior, generator),
        )

    def draw_t(self, n: int, generator: torch.Generator | None, device: torch.device | str = "cpu") -> Tensor:
        """t (n,) int64 of 1 … T, uniform for each material and stratified over the batch."""
        shifts = torch.rand(n, generator=generator, device=device, dtype=torch.float64)
        strata = torch.randperm(n, generator=generator, device=device)
        return ((strata + shifts) / n * self.schedule.T).long().clamp(max=self.schedule.T - 1) + 1


def _noised(x0: Tensor, alpha_bar: Tensor, prior: Prior, generator: torch.Generator | None) -> Tensor:
    if prior.is_zeros:  # an empty variable stays empty: numbers for the few tokens are enough
        uniform = torch.rand(x0.shape, generator=generator, device=x0.device)
    else:
        uniform = torch.rand(x0.shape, generator=generator, device=x0.device, dtype=torch.float64)
    return forward_sample(x0, alpha_bar, prior, uniform)


def material_sum(batch: Batch, constrained: Tensor, unconstrained: Tensor) -> Tensor:
    """Add what the variables hold, (C,) and (U, E), material by material: (B,)."""
    total = torch.zeros(batch.n_materials, dtype=constrained.dtype, device=constrained.device)
    total = total.index_add(0, batch.constrained_material, constrained)
    return total.index_add(0, batch.unconstrained_material, unconstrained.sum(-1))


def n_variables(batch: Batch) -> Tensor:
    """(B,) int64: constrained positions, and (unconstrained position, element) pairs."""
    return batch.constrained_mask.sum(-1) + batch.n_elements * (
        batch.position_mask.sum(-1) - batch.constrained_mask.sum(-1)
    )


def cross_entropy(logits: Logits, batch0: Batch, weighting: str = "variable") -> Tensor:
    """-log p(x0 | x_t) over all variables, a scalar: the mean over materials of the mean over a material's variables.

    That is the paper's loss ("variable"), in which a large group's variables count less; "material" takes
    each material's sum instead, in nats, so that every variable counts the same.
    """
    constrained = _CrossEntropy.apply(logits[0], batch0.constrained)
    unconstrained = _CrossEntropy.apply(logits[1].flatten(0, 1), batch0.unconstrained.flatten())
    unconstrained = unconstrained.view_as(batch0.unconstrained)
    return _weighted(material_sum(batch0, constrained, unconstrained), batch0, weighting)


class _CrossEntropy(torch.autograd.Function):
    """-log softmax(logits (M, K))[target (M,)] in float32, (M,); works on rows that fit a processor's cache.

    Nothing of size (M, K) is kept but the logits themselves: at M = 174,000 variables and K = 55 each pass over
    memory costs as much as the arithmetic.
    """

    ROWS = 4096

    @staticmethod
    def _parts(logits: Tensor) -> list[slice]:
        n = _CrossEntropy.ROWS if logits.device.type == "cpu" else max(1, len(logits))
        return [slice(i, i + n) for i in range(0, len(logits), n)]

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor) -> Tensor:
        log_z = torch.empty(len(logits), dtype=torch.promote_types(logits.dtype, torch.float32), device=logits.device)
        for part in _CrossEntropy._parts(logits):
            log_z[part] = logits[part].to(log_z.dtype).logsumexp(-1)
        ctx.save_for_backward(logits, target, log_z)
        return log_z - logits.gather(1, target[:, None]).squeeze(1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        logits, target, log_z = ctx.saved_tensors
        out = torch.empty_like(logits)
        for part in _CrossEntropy._parts(logits):
            p = (logits[part].to(log_z.dtype) - log_z[part, None]).exp_().mul_(grad[part, None])
            out[part] = p.scatter_add_(1, target[part, None], -grad[part, None])
        return out, None


def _weighted(total: Tensor, batch0: Batch, weighting: str) -> Tensor:
    if weighting == "variable":
        return (total / n_variables(batch0)).mean()
    if weighting == "material":
        return total.mean()
    raise ValueError(f"weighting is 'variable' or 'material', got {weighting!r}")


def occupied_slots(batch0: Batch) -> tuple[Tensor, Tensor]:
    """Packed row and element (0 is H) of each occupied slot of the unconstrained positions, (k,) each."""
    return batch0.unconstrained.nonzero(as_tuple=True)


def factored_cross_entropy(
    slots: TokenLogits, batch0: Batch, occupied: tuple[Tensor, Tensor], weighting: str = "variable"
) -> Tensor:
    """`cross_entropy` of a network that gives p(x0) in two factors: occupancy, and the count where one is asked.

    `slots` holds log-odds against the empty slot. Same value, without the (U, E, P + 1) tensor. `occupied` is
    `occupied_slots(batch0)`, made on the CPU while a batch is loaded.
    """
    every = F.pad(slots.constrained.float(), (1, 0))  # (C, E + 1): an empty position has log-odds 0
    constrained = F.cross_entropy(every, batch0.constrained, reduction="none")
    log_odds = slots.unconstrained.float()
    unconstrained = F.softplus(torch.where(batch0.unconstrained == 0, log_odds, -log_odds))  # (U, E)
    row, element = occupied
    of_count = F.cross_entropy(
        slots.count(row, element).float(), batch0.unconstrained[row, element] - 1, reduction="none"
    )
    total = material_sum(batch0, constrained, unconstrained)
    total = total.index_add(0, batch0.unconstrained_material[row], of_count)
    return _weighted(total, batch0, weighting)


def bound_terms(diffusion: Diffusion, logits: Logits, batch0: Batch, batch_t: Batch, t: Tensor) -> Tensor:
    """KL(q(x_{t-1} | x_t, x0) ‖ p(x_{t-1} | x_t)) of each material in nats, (B,), t from 1 … T.

    Summed over t this is the variational bound on -log p(x0 | s) (Austin et al. eq. 1; the term at T is 0).
    """
    step = diffusion.schedule.step(t - 1, t)
    pairs = (
        (logits[0], batch0.constrained, batch_t.constrained, diffusion.constrained_prior),
        (logits[1], batch0.unconstrained, batch_t.unconstrained, diffusion.unconstrained_prior),
    )
    steps = step[batch0.constrained_material], step[batch0.unconstrained_material, None]
    return material_sum(batch0, *(_kl(*pair, of) for pair, of in zip(pairs, steps, strict=True)))


def _kl(logits: Tensor, x0: Tensor, x_t: Tensor, prior: Prior, step: Step) -> Tensor:
    return kl_zeros(logits, x0, x_t, step) if prior.is_zeros else kl_any(logits, x0, x_t, prior, step)


def kl_zeros(logits: Tensor, x0: Tensor, x_t: Tensor, step: Step) -> Tensor:
    """KL of one reverse step for the zeros prior in nats (...), O(1) a variable beyond its normaliser (MATH §6)."""
    logits = logits.float() if logits.dtype.itemsize < 4 else logits
    z = occupancy(logits)
    rho = step.rho.to(logits)
    log_p = F.log_softmax(logits, -1).gather(-1, x0.unsqueeze(-1)).squeeze(-1)
    birth = rho * torch.sigmoid(z)
    # log(1 - ρ(1 - p_0)) from whichever end loses no digits
    log_empty = torch.where(
        birth < 0.5,
        torch.log1p(-birth.clamp(max=0.5)),
        torch.logaddexp(torch.log1p(-rho), rho.log() + F.logsigmoid(-z)),
    )
    missed = torch.where(rho < 1, torch.special.xlog1py(1 - rho, -rho) - (1 - rho) * log_empty, 0.0)
    return torch.where(x_t != 0, 0.0, torch.where(x0 == 0, -log_empty, missed - rho * log_p))


def kl_any(logits: Tensor, x0: Tensor, x_t: Tensor, prior: Prior, step: Step) -> Tensor:
    """KL of one reverse step for any prior in nats (...), O(K) a variable (MATH §6)."""
    p = torch.softmax(logits.float() if logits.dtype.itemsize < 4 else logits, -1)
    p_s = posterior(p, x_t, prior, step)  # (..., K)
    q_s = posterior(F.one_hot(x0, prior.n_classes).to(p), x_t, prior, step)
    terms = torch.xlogy(q_s, q_s) - torch.xlogy(q_s, p_s)
    return torch.where(q_s > 0, terms, 0.0).sum(-1)


class TokenLogits(Protocol):
    """What a jump network says about the next token; occupied slots need no masking."""

    constrained: Tensor
    """(C, E) logit of element e + 1 on an empty constrained position."""
    unconstrained: Tensor
    """(U, E) logit that element e + 1 takes an empty slot of an unconstrained position."""
    count: Callable[[Tensor, Tensor], Tensor]
    """(k,) rows and (k,) element indices (0 is H) to logits (k, P) of the number of orbits 1 … P."""


def legal(tokens: TokenLogits, batch: Batch) -> tuple[Tensor, Tensor]:
    """The slot logits in float32 with occupied slots masked: (C, E), (U, E)."""
    return (
        tokens.constrained.float().masked_fill((batch.constrained != 0)[:, None], MASKED),
        tokens.unconstrained.float().masked_fill(batch.unconstrained != 0, MASKED),
    )


def position_logits(slots: tuple[Tensor, Tensor], batch: Batch) -> Tensor:
    """log Σ_e exp of each position's slots on the padded grid (B, L): the law of a next token's position."""
    grid = torch.full((batch.n_materials * batch.n_positions,), MASKED, device=slots[0].device)
    grid = grid.index_put((batch.constrained_cell,), slots[0].logsumexp(-1))
    grid = grid.index_put((batch.unconstrained_cell,), slots[1].logsumexp(-1))
    return grid.view(batch.n_materials, batch.n_positions)


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
