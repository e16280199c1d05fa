"""Noise and objectives over whole batches.

process (the forward process), answers (what a network says), losses (D3PM), jump (the jump objective).
"""

from __future__ import annotations

from .answers import MASKED, Logits, TokenLogits, legal, position_logits
from .jump import JumpTargets, count_loss, jump_loss, jump_targets, jump_terms, thin
from .losses import (
    bound_loss,
    bound_terms,
    cross_entropy,
    cross_entropy_terms,
    factored_cross_entropy,
    kl_any,
    kl_zeros,
    occupied_slots,
)
from .process import Diffusion, material_sum, n_variables

__all__ = [
    "MASKED",
    "Diffusion",
    "JumpTargets",
    "Logits",
    "TokenLogits",
    "bound_loss",
    "bound_terms",
    "count_loss",
    "cross_entropy",
    "cross_entropy_terms",
    "factored_cross_entropy",
    "jump_loss",
    "jump_targets",
    "jump_terms",
    "kl_any",
    "kl_zeros",
    "legal",
    "material_sum",
    "n_variables",
    "occupied_slots",
    "position_logits",
    "thin",
]
