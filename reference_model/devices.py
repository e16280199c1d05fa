"""The device that a name means, if this machine has it, and what it is good at."""

from __future__ import annotations

import torch

from wyckoffkit import WyckoffkitError


def available_device(name: str | torch.device) -> torch.device:
    """ "cpu", "cuda", "cuda:1" … Raises WyckoffkitError for what PyTorch does not know or cannot use here."""
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    # What PyTorch raises depends on how it was built and on what is wrong.
    except (RuntimeError, AssertionError, AttributeError, ImportError) as error:
        reason = (str(error).strip().splitlines() or ["unknown"])[0]
        raise WyckoffkitError(f"the device {str(name)!r} cannot be used here: {reason}") from None
    return device


def has_fast_bf16(device: torch.device) -> bool:
    """Does the device multiply bfloat16 matrices in hardware?"""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return device.type == "cpu" and (torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
