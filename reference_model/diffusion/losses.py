"""D3PM's objectives: the cross-entropy of x0 and the terms of the variational bound."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..batch import Batch
from ..transitions import Prior, Step, occupancy, posterior
from .answers import Logits, TokenLogits
from .process import Diffusion, material_sum, n_variables


def cross_entropy(logits: Logits, batch0: Batch, weighting: str = "variable") -> Tensor:
    """-log p(x0 | x_t) over all variables, a scalar: the mean over materials of the mean over a material's variables.

    That is the paper's loss ("variable"), in which a large group's variables count less; "material" takes
    each material's sum instead, in nats, so that every variable counts the same.
    """
    return _weighted(cross_entropy_terms(logits, batch0), batch0, weighting)


def cross_entropy_terms(logits: Logits, batch0: Batch) -> Tensor:
    """-log p(x0 | x_t) of each material in nats, (B,)."""
    constrained = _CrossEntropy.apply(logits[0], batch0.constrained)
    unconstrained = _CrossEntropy.apply(logits[1].flatten(0, 1), batch0.unconstrained.flatten())
    return material_sum(batch0, constrained, unconstrained.view_as(batch0.unconstrained))


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
        log_p = torch.empty(len(logits), dtype=torch.promote_types(logits.dtype, torch.float32), device=logits.device)
        for part in _CrossEntropy._parts(logits):
            # a third of the time of a logsumexp
            all_classes = logits[part].to(log_p.dtype).log_softmax(-1)
            log_p[part] = all_classes.gather(1, target[part, None]).squeeze(1)
        ctx.save_for_backward(logits, target, logits.gather(1, target[:, None]).squeeze(1) - log_p)
        return -log_p

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
    row, element = batch0.unconstrained.nonzero(as_tuple=True)
    return row, element


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


def bound_loss(
    diffusion: Diffusion,
    logits: Logits,
    batch0: Batch,
    batch_t: Batch,
    t: Tensor,
    weighting: str = "variable",
    cross_entropy_weight: float = 0.0,
) -> Tensor:
    """The variational bound as a loss, a scalar: T times its term at each material's t, unbiased for uniform t.

    With a `cross_entropy_weight` λ it is the hybrid loss (Austin et al. eq. 5), λ times the cross-entropy beside each
    term of the bound.
    """
    terms = bound_terms(diffusion, logits, batch0, batch_t, t)
    if cross_entropy_weight:
        terms = terms + cross_entropy_weight * cross_entropy_terms(logits, batch0)
    return diffusion.schedule.T * _weighted(terms, batch0, weighting)


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
