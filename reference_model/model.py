"""What sampling needs of a trained model, read once: network, process and reference pack."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from wyckoffkit import CheckpointError, WyckoffkitError

from . import sampler as samplers
from .checkpoint import Checkpoint, checkpoint_file, diffusion_of, read_checkpoint
from .conditioning.guidance import Guided
from .devices import available_device
from .diffusion import Diffusion
from .likelihood import token_law
from .reference import ReferencePack, read_reference, reference_path

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]

SAMPLERS = ("auto", "ancestral", "strided", "first-hitting", "jump", "count-head")


@dataclass(frozen=True, eq=False)
class Model:
    """A checkpoint made ready on a device."""

    checkpoint: Checkpoint
    network: nn.Module | Guided
    diffusion: Diffusion
    reference: ReferencePack
    space_group_law: Array
    """p̂(s), (231,) float64."""
    token_law: Array
    """p̂(n | s), (231, N + 1) float64, smoothed."""
    device: torch.device


def load_model(path: str | os.PathLike[str] | None = None, device: str | torch.device = "cpu") -> Model:
    """The model of a checkpoint file (the shipped one by default) and the reference pack beside it.

    Raises CheckpointError for a file that is not there or not one, WyckoffkitError for a device that is not.
    """
    path, device = checkpoint_file(path), available_device(device)
    checkpoint = read_checkpoint(path)
    reference = read_reference(reference_path(path))
    if reference.profile != checkpoint.profile:
        raise CheckpointError(
            f"{reference_path(path)} is in the profile {reference.profile}, {path} in {checkpoint.profile}"
        )
    return Model(
        checkpoint,
        checkpoint.network().to(device),
        diffusion_of(checkpoint).to(device),
        reference,
        np.asarray(reference.space_group_probability, np.float64),
        token_law(torch.from_numpy(reference.token_count)).numpy(),
        device,
    )


@torch.no_grad()
def guided(model: Model, value: float, strength: float = 1.0) -> Model:
    """The model steered towards a value of the property that its network is told, space group and all.

    Raises WyckoffkitError where it was trained without one.
    """
    config = model.checkpoint.config
    if not config.condition:
        raise WyckoffkitError(
            "this model was not trained to be told a formation energy: ask for a range instead, as "
            f"--e-form '< {value:g}', or train with --condition e_form_per_atom"
        )
    network = Guided(model.network, value, strength)
    law = network.space_group_law(torch.from_numpy(model.space_group_law), model.device).numpy()
    tokens = model.token_law
    if config.objective == "jump":
        tokens = network.token_law(config.n_elements, model.device).numpy()
    return replace(model, network=network, space_group_law=law, token_law=tokens)


def choose_sampler(model: Model, name: str = "auto", n_steps: int = 100) -> Callable[..., Any]:
    """The sampler of this name, bound to its options; "auto" takes the one that needs fewest calls for this model.

    Raises WyckoffkitError where the model does not answer what the sampler asks.
    """
    config = model.checkpoint.config
    if name not in SAMPLERS:
        raise WyckoffkitError(f"samplers are {', '.join(SAMPLERS)}, got {name!r}")
    if name == "auto":
        by_diffusion = "first-hitting" if model.diffusion.is_zeros else "strided"
        name = "jump" if config.objective == "jump" else by_diffusion
    if (name in ("jump", "count-head")) != (config.objective == "jump"):
        raise WyckoffkitError(f"the sampler {name} does not fit a model trained with the {config.objective} objective")
    if name == "first-hitting" and not model.diffusion.is_zeros:
        raise WyckoffkitError(f"first hitting needs the zeros prior, this model has {config.prior}")
    if name == "strided":
        return lambda *a, **k: samplers.strided(*a, n_steps=n_steps, **k)
    return getattr(samplers, name.replace("-", "_"))
