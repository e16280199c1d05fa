"""AdamW, its learning rate over a run, and the running average of the weights."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ..config import TrainConfig


def adamw(network: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """Fused AdamW; weight decay on matrices alone."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr, betas=(config.beta1, config.beta2), fused=True)


def rate(fraction: float, config: TrainConfig) -> float:
    """Learning rate when `fraction` of the run is behind: linear warm-up, then half a cosine down to the final one."""
    if fraction < config.warmup:
        # Never exactly 0, so that the first step of a run moves.
        return config.lr * max(fraction / config.warmup, 0.01)
    done = min(1.0, (fraction - config.warmup) / max(1.0 - config.warmup, 1e-9))
    return config.lr * (config.final_lr + (1 - config.final_lr) * (1 + math.cos(math.pi * done)) / 2)


class Average:
    """A second network whose weights are the running average of the first one's.

    The decay warms up as (1 + step) / (10 + step), so that the random start is soon forgotten.
    """

    def __init__(self, network: nn.Module, copy: nn.Module, decay: float) -> None:
        self.source = network
        self.network = copy.requires_grad_(False).eval()
        self.decay = decay
        self.network.load_state_dict(network.state_dict())
        self._pairs = list(zip(self.network.parameters(), network.parameters(), strict=True))

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take the weights after optimiser step number `step` (from 0) into the average."""
        decay = min(self.decay, (1 + step) / (10 + step))
        averages: list[Tensor] = [average for average, _ in self._pairs]
        torch._foreach_lerp_(averages, [weight for _, weight in self._pairs], 1 - decay)


def moments(network: nn.Module, optimiser: torch.optim.Optimizer) -> Iterator[tuple[str, str, Tensor]]:
    """(parameter, quantity, tensor) for everything the optimiser remembers."""
    for name, parameter in network.named_parameters():
        for quantity, tensor in optimiser.state.get(parameter, {}).items():
            yield name, quantity, tensor


def restore_moments(
    network: nn.Module, optimiser: torch.optim.Optimizer, tensors: dict[tuple[str, str], Tensor]
) -> None:
    """Undo `moments`; parameters without an entry have had no gradient yet."""
    for name, parameter in network.named_parameters():
        state = {
            # The step counter of fused AdamW lives on the device, in float32, like the moments.
            quantity: tensor.to(parameter.device)
            for (owner, quantity), tensor in tensors.items()
            if owner == name
        }
        if state:
            optimiser.state[parameter] = state
