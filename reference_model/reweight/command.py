"""Reading, fitting, writing and telling, once the options are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from wyckoffkit import WyckoffkitError
from wyckoffkit.dataset import read_dataset

from ..checkpoint import checkpoint_file, write_checkpoint
from ..model import Model, load_model
from ..reference import fingerprints, reference_path, write_reference
from ..reweighting import Novelty
from .fitted import Fitted, fit_weights

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]

NAMED = {
    Novelty.KNOWN: "in the training set",
    Novelty.NEW: "new, of a known prototype",
    Novelty.NEW_PROTOTYPE: "of a new prototype",
}


def run(
    checkpoint: Path,
    data: Path,
    out: Path | None,
    *,
    held_out: int,
    n_samples: int,
    bins: int,
    exact: int,
    seed: int,
    device: str,
    console: Console,
) -> None:
    """Write the checkpoint with weights, and on the console what they are and what they do.

    Raises WyckoffkitError for data that the model was not trained on, or without the splits.
    """
    model = load_model(checkpoint, device)
    fitted_to, test = _held_out(model, data, held_out, np.random.default_rng(seed))
    with _bar(console, n_samples + len(fitted_to) + len(test)) as bar:
        task = next(iter(bar.task_ids))
        fitted = fit_weights(
            model,
            fitted_to,
            test,
            n_samples=n_samples,
            seed=seed,
            bins=bins,
            exact=exact,
            progress=lambda n: bar.update(task, advance=n),
        )
    target = checkpoint_file(checkpoint) if out is None else out
    write_checkpoint(target, replace(model.checkpoint, reweighting=fitted.reweighting))
    if not reference_path(target).exists():
        write_reference(target.with_name(f"{target.stem}.reference.safetensors"), model.reference)
    for line in lines(fitted):
        console.print(line, highlight=False)


def _held_out(model: Model, data: Path, most: int, generator: np.random.Generator) -> tuple[list[str], list[str]]:
    """Labels of at most `most` validation materials, and of a fourth as many of the test split, at random."""
    dataset = read_dataset(data)
    trained_on = np.unique(fingerprints(str(label) for label in dataset.label[dataset.indices("train")]))
    if not np.array_equal(trained_on, model.reference.labels):
        raise WyckoffkitError(f"{data}: its training split is not what the model was trained on")
    parts = []
    for split, n in (("validation", most), ("test", most // 4)):
        rows = generator.permutation(dataset.indices(split))[:n]
        if len(rows) == 0:
            raise WyckoffkitError(f"{data} has no {split} split, see `wyckoffkit dataset split`")
        parts.append([str(label) for label in dataset.label[rows]])
    return parts[0], parts[1]


def lines(fitted: Fitted) -> list[str]:
    """What to tell: shares of each novelty, bits of materials that nothing was fitted to, and the price."""
    own, reweighted, error = fitted.bits()
    shares = zip(Novelty, fitted.drawn.shares(), fitted.held_out.shares(), strict=True)
    return [
        *(
            f"{NAMED[kind]}: {100 * drawn:.2f} % of {len(fitted.drawn.bits):,} samples, "
            f"{100 * real:.2f} % of {len(fitted.held_out.bits):,} held-out materials"
            for kind, drawn, real in shares
        ),
        (
            f"{len(fitted.test.bits):,} test materials: {own:.2f} bits a material, {reweighted:.2f} with the weights "
            f"({own - reweighted:.2f} ± {error:.2f} fewer)"
        ),
        f"{100 * fitted.acceptance():.0f} % of the samples stay",
    ]


def _bar(console: Console, total: int) -> Progress:
    columns = (BarColumn(bar_width=None), MofNCompleteColumn(), TextColumn("materials scored"), TimeRemainingColumn())
    bar = Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
    bar.add_task("", total=total)
    return bar
