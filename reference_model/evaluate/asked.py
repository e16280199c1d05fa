"""From files or labels to an evaluation: what the command does, in one call."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from wyckoffkit import parse_label
from wyckoffkit.symmetry import DEFAULT_SYMPREC

from ..extractor.embed import Extractor
from ..extractor.weights import SHIPPED, read_extractor
from . import measure
from .against import Quiet, read_against
from .measure import Evaluation
from .samples import Samples, collect, read_samples

File = str | os.PathLike[str]


def evaluate(
    samples: File | Iterable[str],
    reference: File | None = None,
    *,
    extractor: File | None = None,
    norm: Any = None,
    fwd: bool = True,
    model: File | None = None,
    symprec: float = DEFAULT_SYMPREC,
    symprec_sweep: bool = True,
    seconds: float | None = None,
    seed: int = 0,
    command: str = "",
    announce: Callable[[], AbstractContextManager[Callable[[int], None]]] = lambda: nullcontext(Quiet),
) -> Evaluation:
    """Measure generated protostructures: a file of any kind that the command reads, or labels.

    `reference` is the training data, by default those of the shipped model; the other options are the command's.
    `announce` gives what is told of each material of a reference that has to be embedded first. Raises DatasetError or
    CheckpointError.

    >>> found = evaluate(["AB_cF8_225_a_b:Cl-Na", "AB_cF8_225_a_b:Ca-Po", "AB_cF8_225_a_a:Ca-O"], fwd=False)
    >>> found.samples.reasons
    {'position a of Fm-3m (225) has no free coordinate, so it holds one orbit': 1}
    >>> found.metrics["unique"].value
    1.0
    """
    used = _extractor(extractor, norm) if fwd else None
    with announce() as progress:
        known = read_against(None if reference is None else Path(reference), extractor=used, progress=progress)
    if isinstance(samples, str | os.PathLike):
        read = read_samples(Path(samples), profile=known.profile, symprec=symprec, sweep=symprec_sweep)
    else:
        read = _of_labels(samples, known.profile)
    checkpoint = None if model is None else Path(model)
    return measure.evaluate(read, known, extractor=used, seed=seed, seconds=seconds, command=command, model=checkpoint)


def _of_labels(labels: Iterable[str], profile: str) -> Samples:
    made = ((i, label, partial(parse_label, label)) for i, label in enumerate(labels, start=1))
    return collect(made, "labels", profile)


def _extractor(path: File | None, norm: Any) -> Extractor | None:
    """The one asked for, else the shipped one, else none."""
    if path is None and not SHIPPED.exists():
        return None
    return read_extractor(None if path is None else Path(path), norm=norm)
