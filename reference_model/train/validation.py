"""Looking at the validation split during a run: always the same materials under the same noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ..batch import Batch
from ..checkpoint import Checkpoint
from ..config import TrainConfig
from ..likelihood import jump_bound, space_group_bits, token_law, variational_bound
from ..reference import ReferencePack
from .data import count_settings, epoch_order
from .objective import Objective

if TYPE_CHECKING:
    from wyckoffkit.encoding import WyckoffColumns

# Not the run's seed: runs of different seeds are then judged on the same materials and noise.
SEED = 20250209
# Noise levels a material; the jump bound spreads less (MATH section 5).
D3PM_DRAWS, JUMP_DRAWS = 8, 2


class Validation:
    """Called with a network, gives "loss" (as in training), "bits" and "bits_error".

    Bits a material bound -log2 p(x0) from above, p̂(s) included; where settings are drawn at random in training, the
    material is scored and not the setting (minus log2 of how many it has). The error is the standard error of the mean.
    """

    def __init__(
        self,
        columns: WyckoffColumns,
        template: Checkpoint,
        pack: ReferencePack,
        config: TrainConfig,
        device: torch.device,
        augmentation: str | None = None,
    ) -> None:
        self.template, self.config, self.device = template, config, device
        rng = np.random.default_rng(SEED)
        chosen = columns.select(np.sort(rng.permutation(len(columns))[: config.validation_materials]))
        order = epoch_order(len(chosen), min(config.batch_size, len(chosen)), SEED, 0)
        self.batches = [Batch.from_columns(chosen, part, template.config.n_elements) for part in order]
        self.token_law = token_law(torch.from_numpy(pack.token_count))
        # A group that training lacks would cost infinity and hide the rest: it counts as half a material.
        groups = np.maximum(pack.space_group_count, 0.5)
        rows = np.concatenate(order)
        self.fixed_bits = space_group_bits(
            torch.from_numpy(chosen.space_group[rows].astype(np.int64)), torch.from_numpy(groups / groups.sum())
        )
        if augmentation is not None:
            self.fixed_bits -= torch.from_numpy(count_settings(chosen, augmentation)[rows]).double().log2()

    @torch.no_grad()
    def __call__(self, network: nn.Module) -> dict[str, float]:
        config = self.config
        objective = Objective(
            network, self.template, config.weighting, loss=config.loss, hybrid_weight=config.hybrid_weight
        )
        generator = torch.Generator().manual_seed(SEED)
        losses = torch.stack([objective(objective.ask(b, generator).to(self.device)) for b in self.batches])
        bits = torch.cat([self._bits(objective, batch) for batch in self.batches]) + self.fixed_bits
        return {
            "loss": float(losses.mean()),
            "bits": float(bits.mean()),
            "bits_error": float(bits.std() / len(bits) ** 0.5),
        }

    def _bits(self, objective: Objective, batch: Batch) -> Tensor:
        """(B,) on the CPU, given s."""
        generator = torch.Generator(self.device).manual_seed(SEED)
        batch = batch.to(self.device)
        if self.template.config.objective == "jump":
            found = jump_bound(objective.network, batch, generator, n_draws=JUMP_DRAWS, p_n=self.token_law)
        else:
            diffusion = objective.diffusion.to(self.device)
            found = variational_bound(objective.network, batch, diffusion, generator, n_draws=D3PM_DRAWS)
        return found.bits.cpu()
