"""From a dataset file and settings to a run: the parts put together."""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from wyckoffkit import CheckpointError, DatasetError
from wyckoffkit.files import holding

from ..checkpoint import Checkpoint, checkpoint_file, read_checkpoint
from ..config import ModelConfig, TrainConfig
from ..reference import ReferencePack, build_reference, write_reference
from ..transitions import Prior
from .data import TrainingData
from .engine import Record, Run
from .processes import own_device, process_group, rank
from .runlog import JsonLines, TensorBoard, require_tensorboard
from .state import Progress
from .validation import Validation

if TYPE_CHECKING:
    from wyckoffkit.dataset import Dataset

LOG = "log.jsonl"
REFERENCE = "reference.safetensors"


def train(
    data: Path,
    folder: Path,
    model: ModelConfig,
    config: TrainConfig,
    *,
    initialise: str | PathLike[str] | None = None,
    device: str = "cpu",
    tensorboard: bool = False,
    log: Callable[[Record], None] = lambda record: None,
    tick: Callable[[float, Progress], None] = lambda fraction, progress: None,
) -> Progress:
    """Train `model` on the training split of the dataset file `data`, or continue the run in `folder`.

    `initialise` is a checkpoint or run of the same model, or "shipped", whose weights a new run starts from (a run
    that is continued has its own, but must have begun so). Leaves `checkpoint.safetensors` (last), `best.safetensors`
    (best averaged weights by validation), `reference.safetensors` (reference pack) and `log.jsonl` there; with
    `tensorboard` the same figures in `tensorboard/`. Raises DatasetError or CheckpointError, WyckoffkitError without
    the tensorboard package.
    """
    from wyckoffkit.dataset import read_dataset

    if tensorboard:
        require_tensorboard()
    dataset = read_dataset(data)
    chosen = dataset.indices("train")
    if len(chosen) == 0:
        raise DatasetError(f"{data}: no material is in the training split")
    initialise = None if initialise is None else checkpoint_file(initialise)
    begun_with = None if initialise is None else read_checkpoint(initialise)
    condition = None
    if model.condition:
        condition = told_property(data, dataset, model.condition)[chosen]
        if begun_with is None or not begun_with.config.condition:  # else the scale that it has
            mean, std = (round(float(of(condition)), 6) for of in (np.nanmean, np.nanstd))
            model = replace(model, condition_mean=mean, condition_std=std)
    start = None
    if initialise is not None and begun_with is not None:
        start = starting_point(initialise, begun_with, model)
        config = replace(config, initialised_from=file_digest(initialise))
    provenance = _provenance(data, dataset, len(chosen))
    columns = dataset.columns.select(chosen)
    pack = build_reference(
        columns,
        dataset.label[chosen].tolist(),
        n_elements=model.n_elements,
        max_count=model.max_count,
        profile=dataset.profile,
        dataset=provenance,
    )
    template = blank_checkpoint(model, pack)
    augmentation = {"none": None, "profile": dataset.profile}.get(config.augmentation, config.augmentation)
    training = TrainingData(columns, model.n_elements, config.batch_size, config.seed, augmentation, condition)
    held_out = dataset.indices("validation")
    place = own_device(device)
    with process_group(place), holding(folder) if rank() == 0 else nullcontext():
        validation = None
        if len(held_out):
            validation = Validation(dataset.columns.select(held_out), template, pack, config, place, augmentation)
        run = Run(folder, template, config, training, device=place, validate=validation, tick=tick)
        if not run.resume() and start is not None:
            run.initialise(start)
        if rank() != 0:
            return run.train()
        write_reference(folder / REFERENCE, pack)
        logs: list[JsonLines | TensorBoard] = [JsonLines(folder / LOG, run.progress.step)]
        if tensorboard:
            logs.append(TensorBoard(folder / "tensorboard", run.progress.step))

        def log_everywhere(record: Record) -> None:
            for one in (*logs, log):
                one(record)

        run.log = log_everywhere
        try:
            with stopping_at_signals(run):
                return run.train()
        finally:
            for one in logs:
                one.close()


def told_property(data: Path, dataset: Dataset, name: str) -> np.ndarray[Any, Any]:
    """(N,) float64 of the dataset, NaN where it is not known; DatasetError where it has no such numbers."""
    if name not in dataset.properties:
        known = ", ".join(dataset.properties) or "none"
        raise DatasetError(f"{data} has no property {name!r} to tell the network; it has {known}")
    values = np.asarray(dataset.properties[name], np.float64)
    told = values[dataset.indices("train")]
    if not np.nanstd(told[np.isfinite(told)]) > 0:
        raise DatasetError(f"{data}: {name} is the same for all materials, or not known")
    return np.where(np.isfinite(values), values, np.nan)


def blank_checkpoint(model: ModelConfig, pack: ReferencePack) -> Checkpoint:
    """A checkpoint without weights: the configuration, its priors and where the data came from."""
    constrained, unconstrained = model.n_elements + 1, model.max_count + 1
    if model.prior == "zeros":
        priors = Prior.zeros(constrained), Prior.zeros(unconstrained)
    elif model.prior == "uniform":
        priors = Prior.uniform(constrained), Prior.uniform(unconstrained)
    else:
        priors = (
            Prior.marginal(torch.from_numpy(pack.constrained_marginal)),
            Prior.marginal(torch.from_numpy(pack.unconstrained_marginal)),
        )
    return Checkpoint(
        config=model,
        weights={},
        ema={},
        constrained_prior=priors[0].m,
        unconstrained_prior=priors[1].m,
        profile=pack.profile,
        dataset=pack.dataset,
    )


def _provenance(path: Path, dataset: Dataset, n_train: int) -> dict[str, Any]:
    kept = {key: str(dataset.attributes[key]) for key in ("licence", "sources") if key in dataset.attributes}
    return {"file": path.name, "sha256": file_digest(path), "training_materials": n_train, **kept}


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def starting_point(path: Path, checkpoint: Checkpoint, model: ModelConfig) -> Checkpoint:
    """The checkpoint read from `path`, if it is of `model`; CheckpointError names the options in which it differs."""
    theirs, ours = checkpoint.config.to_dict(), model.to_dict()
    if not theirs["condition"]:  # the network can do without, so that it is added as nothing
        theirs |= {key: ours[key] for key in ("condition", "condition_mean", "condition_std")}
    differing = [f"{key} {theirs[key]!r} (not {ours[key]!r})" for key in theirs if theirs[key] != ours[key]]
    if differing:
        raise CheckpointError(f"{path} cannot start this run, its model has {', '.join(differing)}")
    return checkpoint


@contextmanager
def stopping_at_signals(run: Run) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM (a batch system's warning) end the run after its present step, with everything saved."""

    def stop(number: int, frame: Any) -> None:
        run.stop_requested = True

    try:
        previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: signals are somebody else's
        yield
        return
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
