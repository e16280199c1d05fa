"""Networks that look at a noisy protostructure and say what was there, or what comes next."""

from __future__ import annotations

from ..config import ModelConfig
from .compact import CompactNetwork
from .gnn import WyckoffGNN

__all__ = ["CompactNetwork", "WyckoffGNN", "build_network"]


def build_network(config: ModelConfig) -> WyckoffGNN | CompactNetwork:
    """The network of a configuration, freshly initialised from torch's global generator."""
    return CompactNetwork(config) if config.architecture == "compact" else WyckoffGNN(config)
