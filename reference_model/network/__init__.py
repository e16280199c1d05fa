"""Networks that look at a noisy protostructure and say what was there, or what comes next."""

from __future__ import annotations

from torch import nn

from ..config import ModelConfig
from .gnn import WyckoffGNN

__all__ = ["WyckoffGNN", "build_network"]


def build_network(config: ModelConfig) -> nn.Module:
    """The network of a configuration, freshly initialised from torch's global generator."""
    return WyckoffGNN(config)
