"""The device that a name means, if this machine has it."""

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
