"""Looking at the validation split during a run: always the same materials under the same noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from ..batch import Batch, group_tables
from ..checkpoint import Checkpoint
from ..config import TrainConfig
from ..reference import ReferencePack
from .data import epoch_order
from .objective import Objective

if TYPE_CHECKING:
    from wyckoffkit.encoding import WyckoffColumns

# Not the run's seed: runs of different seeds are then judged on the same materials and noise.
SEED = 20250209


class Validation:
    """Called with a network, gives "loss" (as in training) and "bits" (an upper bound on bits a material)."""

    def __init__(
        self,
        columns: WyckoffColumns,
        template: Checkpoint,
        pack: ReferencePack,
        config: TrainConfig,
        device: torch.device,
    ) -> None:
        self.template, self.pack, self.config, self.device = template, pack, config, device
        rng = np.random.default_rng(SEED)
        chosen = rng.permutation(len(columns))[: config.validation_materials]
        n_positions = group_tables().n_positions.numpy()[columns.space_group[chosen]]
        size = min(config.batch_size, len(chosen))
        batches = [chosen[part] for part in epoch_order(n_positions, size, SEED, 0)]
        self.batches = [Batch.from_columns(columns, part, template.config.n_elements).to(device) for part in batches]

    @torch.no_grad()
    def __call__(self, network: nn.Module) -> dict[str, float]:
        objective = Objective(network, self.template, self.config.weighting)
        generator = torch.Generator().manual_seed(SEED)
        losses = torch.stack([objective(objective.ask(b, generator).to(self.device)) for b in self.batches])
        return {"loss": float(losses.mean())}
