"""Independent variables: a law for which the exact denoiser and every likelihood are closed forms."""

from __future__ import annotations

import torch
from torch import Tensor

from reference_model.batch import Batch
from reference_model.diffusion import Diffusion, material_sum


def product_law(batch: Batch) -> tuple[Tensor, Tensor]:
    """p(x0) of independent variables: (C, E + 1), (U, E, 3), different at every variable."""
    generator = torch.Generator().manual_seed(4)
    c = torch.rand(1731, batch.n_elements + 1, generator=generator, dtype=torch.float64)
    u = torch.rand(1731, batch.n_elements, 3, generator=generator, dtype=torch.float64)
    row = batch.position_row.flatten()
    c, u = c[row[batch.constrained_cell]] ** 2, u[row[batch.unconstrained_cell]] ** 2
    return c / c.sum(-1, keepdim=True), u / u.sum(-1, keepdim=True)


def log_probability(batch: Batch) -> Tensor:
    """log p(x0) of each material, (B,), in nats."""
    laws, states = product_law(batch), (batch.constrained, batch.unconstrained)
    c, u = (p.gather(-1, x[..., None]).squeeze(-1).log() for p, x in zip(laws, states, strict=True))
    return material_sum(batch, c, u)


def draw(batch: Batch, generator: torch.Generator) -> Batch:
    """Independent draws from `product_law` for the materials of a batch."""
    c, u = product_law(batch)
    drawn_u = torch.multinomial(u.flatten(0, 1), 1, generator=generator).view_as(batch.unconstrained)
    return batch.with_state(torch.multinomial(c, 1, generator=generator).squeeze(1), drawn_u)


class Independent:
    """The exact denoiser of `product_law`: Bayes' rule, one variable at a time."""

    def __init__(self, diffusion: Diffusion) -> None:
        self.diffusion = diffusion

    def __call__(self, batch: Batch, t: Tensor) -> tuple[Tensor, Tensor]:
        alpha_bar = self.diffusion.schedule.alpha_bar(t)
        c, u = product_law(batch)
        return (
            _bayes(c, batch.constrained, alpha_bar[batch.constrained_material], self.diffusion.constrained_prior.m),
            _bayes(
                u,
                batch.unconstrained,
                alpha_bar[batch.unconstrained_material, None],
                self.diffusion.unconstrained_prior.m,
            ),
        )


def _bayes(p: Tensor, x_t: Tensor, alpha_bar: Tensor, m: Tensor) -> Tensor:
    same = torch.nn.functional.one_hot(x_t, p.shape[-1])
    return (p * (alpha_bar[..., None] * same + (1 - alpha_bar[..., None]) * m[x_t][..., None])).log()
