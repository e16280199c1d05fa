"""The state of a run on disk: what a checkpoint lacks to continue as if nothing had happened.

Optimiser moments go as tensors into `state-STEP.safetensors`, the rest as JSON in its header. Random numbers need no
entry: every draw is a function of the seed and the number of the micro-batch. The state is written under a new name
before the checkpoint that belongs to it is replaced, so a run killed at any moment leaves a pair that fits.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from wyckoffkit import CheckpointError

from ..tensorfile import read_tensors, write_tensors

KIND = "training state"
FORMAT_VERSION = 1


@dataclass
class Progress:
    """How far a run is."""

    step: int = 0
    """Optimiser steps taken."""
    seconds: float = 0.0
    """Of wall time, over all sessions."""
    cpu_seconds: float = 0.0
    """Of processor time of the first process, over all its threads."""
    validations: int = 0
    best: float | None = None
    """Lowest validation figure so far."""
    best_step: int = 0
    without_better: int = 0
    """Validations since the best one."""
    logged_step: int = 0
    """Step of the last line of the log."""
    loss_sum: float = 0.0
    """Of the steps since then."""


def state_path(folder: Path, step: int) -> Path:
    return folder / f"state-{step}.safetensors"


def write_state(
    folder: Path, progress: Progress, settings: dict[str, Any], moments: dict[tuple[str, str], Tensor]
) -> None:
    """Write `state-STEP.safetensors`; `settings` are the run's, to be compared on resumption."""
    tensors = {f"{quantity}.{name}": tensor for (name, quantity), tensor in moments.items()}
    header = {"progress": asdict(progress), "settings": settings}
    write_tensors(state_path(folder, progress.step), KIND, FORMAT_VERSION, tensors, header)


def read_state(folder: Path, step: int) -> tuple[Progress, dict[str, Any], dict[tuple[str, str], Tensor]]:
    """(progress, settings, moments). Raises CheckpointError if the state that belongs to this step is not there."""
    path = state_path(folder, step)
    tensors, header = read_tensors(path, KIND, FORMAT_VERSION)
    try:
        progress = Progress(**header["progress"])
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: the header does not describe a run: {error}") from None
    moments = {}
    for key, tensor in tensors.items():
        quantity, _, name = key.partition(".")
        moments[name, quantity] = tensor
    return progress, header.get("settings", {}), moments


def forget_states(folder: Path, keep: int) -> None:
    """Remove the states of other steps, after the checkpoint of step `keep` is in place."""
    for path in folder.glob("state-*.safetensors"):
        if path != state_path(folder, keep):
            path.unlink(missing_ok=True)
