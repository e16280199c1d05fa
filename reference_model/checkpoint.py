"""A trained model in one safetensors file: weights, their running average, priors, configuration and provenance.

Never a pickle. A checkpoint is read strictly: another format version, tables that number positions otherwise, or a
tensor too many or too few is a CheckpointError.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from wyckoffkit import CheckpointError, tables

from .config import ModelConfig
from .diffusion import Diffusion
from .network import build_network
from .reweighting import Reweighting
from .tensorfile import read_tensors, write_tensors
from .transitions import Prior, Schedule

KIND = "checkpoint"
FORMAT_VERSION = 1
DEFAULT = Path(__file__).resolve().parent / "weights" / "default.safetensors"
SHIPPED = "shipped"
"""A name for it, wherever a checkpoint is asked for."""

# The columns that give rows of a network their meaning. Coordinates may be written otherwise without harm.
_COLUMNS = ("number", "letter", "multiplicity", "site_symmetry", "dof")


@cache
def table_digest() -> str:
    """SHA-256 over the columns of the table of positions that a network's inputs and outputs are numbered by."""
    sha = hashlib.sha256()
    for row in tables.rows("wyckoff_positions"):
        sha.update("\t".join(row[column] for column in _COLUMNS).encode() + b"\n")
    return sha.hexdigest()


@dataclass(frozen=True)
class Checkpoint:
    """A model and where it came from.

    `weights` and `ema` map parameter names to tensors (`ema` is empty where no average was kept, or where it is the
    weights); `constrained_prior` is (E + 1,) and `unconstrained_prior` (P + 1,), float64; `profile` names the canonical
    form of the training labels; `training` holds figures (step, seconds, validation), `dataset` digest and
    licence; `reweighting` are weights for novelty, where they were fitted.
    """

    config: ModelConfig
    weights: dict[str, torch.Tensor]
    ema: dict[str, torch.Tensor]
    constrained_prior: torch.Tensor
    unconstrained_prior: torch.Tensor
    profile: str = "pymatgen"
    training: dict[str, Any] = field(default_factory=dict)
    dataset: dict[str, Any] = field(default_factory=dict)
    reweighting: Reweighting | None = None

    def network(self, *, average: bool = True) -> nn.Module:
        """The network in evaluation mode, with the running average of the weights where there is one."""
        network = build_network(self.config)
        network.load_state_dict(self.ema if average and self.ema else self.weights)
        return network.eval()

    def exported(self, dtype: torch.dtype = torch.float32) -> Checkpoint:
        """The average alone, as weights: what sampling needs, at half the size."""
        chosen = self.ema or self.weights
        return replace(self, weights={k: _as(t, dtype) for k, t in chosen.items()}, ema={})


def diffusion_of(checkpoint: Checkpoint) -> Diffusion:
    """The forward process that a checkpoint's model belongs to."""
    return Diffusion(
        Schedule(checkpoint.config.T),
        Prior.marginal(checkpoint.constrained_prior),
        Prior.marginal(checkpoint.unconstrained_prior),
    )


def _as(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def write_checkpoint(path: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
    """Write atomically: a reader sees the old file or the new one, never half of one."""
    tensors = {
        **{f"weights.{k}": t for k, t in checkpoint.weights.items()},
        **{f"ema.{k}": t for k, t in checkpoint.ema.items()},
        "prior.constrained": checkpoint.constrained_prior,
        "prior.unconstrained": checkpoint.unconstrained_prior,
    }
    header = {
        "table_digest": table_digest(),
        "profile": checkpoint.profile,
        "config": checkpoint.config.to_dict(),
        "training": checkpoint.training,
        "dataset": checkpoint.dataset,
    }
    if checkpoint.reweighting is not None:
        header["reweighting"] = checkpoint.reweighting.to_dict()
    write_tensors(path, KIND, FORMAT_VERSION, tensors, header)


def checkpoint_file(path: str | os.PathLike[str] | None = None) -> Path:
    """The file that is meant: the shipped one by default or by name, of a run folder the best checkpoint or the last.

    Raises CheckpointError where nothing is shipped.
    """
    path = DEFAULT if path is None or str(path) == SHIPPED else Path(path)
    if path == DEFAULT and not path.exists():
        raise CheckpointError(f"this installation has no shipped weights ({path}); name a checkpoint")
    if not path.is_dir():
        return path
    best = path / "best.safetensors"
    return best if best.exists() else path / "checkpoint.safetensors"


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read and check a checkpoint; CheckpointError in one sentence that names the file for everything that is wrong."""
    tensors, header = read_tensors(path, KIND, FORMAT_VERSION)
    if header.get("table_digest") != table_digest():
        raise CheckpointError(
            f"{path} was made with other tables of Wyckoff positions (digest {str(header.get('table_digest'))[:12]}, "
            f"here {table_digest()[:12]}), so its rows would mean other positions"
        )
    try:
        config = ModelConfig.from_dict(header["config"])
        parts = {key: header[key] for key in ("profile", "training", "dataset")}
        if "reweighting" in header:
            parts["reweighting"] = Reweighting.from_dict(header["reweighting"])
    except KeyError as error:
        raise CheckpointError(f"{path}: the header lacks {error}") from None
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    groups: dict[str, dict[str, torch.Tensor]] = {"weights": {}, "ema": {}, "prior": {}}
    for name, tensor in tensors.items():
        group, _, key = name.partition(".")
        if group not in groups or not key:
            raise CheckpointError(f"{path}: unknown tensor {name}")
        groups[group][key] = tensor
    _check_tensors(path, config, groups)
    return Checkpoint(
        config=config,
        weights=groups["weights"],
        ema=groups["ema"],
        constrained_prior=groups["prior"]["constrained"],
        unconstrained_prior=groups["prior"]["unconstrained"],
        **parts,
    )


def _check_tensors(
    path: str | os.PathLike[str], config: ModelConfig, groups: dict[str, dict[str, torch.Tensor]]
) -> None:
    """Every tensor that the configuration asks for is there in its shape, and nothing else."""
    with torch.device("meta"):
        shapes = {name: tuple(t.shape) for name, t in build_network(config).state_dict().items()}
    priors = {"constrained": (config.n_elements + 1,), "unconstrained": (config.max_count + 1,)}
    expected = {"weights": shapes, "prior": priors}
    if groups["ema"]:
        expected["ema"] = shapes
    for group, wanted in expected.items():
        found = groups[group]
        for name in wanted.keys() - found.keys():
            raise CheckpointError(f"{path}: tensor {group}.{name} is missing")
        for name in found.keys() - wanted.keys():
            raise CheckpointError(f"{path}: unknown tensor {group}.{name}")
        for name, shape in wanted.items():
            if tuple(found[name].shape) != shape:
                raise CheckpointError(
                    f"{path}: tensor {group}.{name} has shape {tuple(found[name].shape)}, "
                    f"its configuration asks for {shape}"
                )
