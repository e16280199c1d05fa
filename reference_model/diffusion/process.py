"""The forward process over whole batches, and sums over a material's variables."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..batch import Batch
from ..transitions import Prior, Schedule, forward_sample


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
