"""Samples one after the other, each a function of (seed, its number) alone."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from wyckoffkit import Protostructure, WyckoffkitError, format_label, parse_label
from wyckoffkit.encoding import WyckoffColumns
from wyckoffkit.protostructure import FORMULA_LETTERS

from ..batch import Batch, group_tables
from ..model import Model, choose_sampler
from ..reference import fingerprint, prototype_labels
from ..streams import Draw, Streams
from .processes import in_turn
from .thinning import Thinning

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]

# An invalid material is drawn again in the same group, with the numbers of a sample this far away.
ATTEMPT = 1 << 40
MOST_ATTEMPTS = 64
MOST_IN_VAIN = 100_000
"""So many draws in a row without one to keep end the command."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One generated material."""

    number: int
    attempts: int
    """1, and 1 more for each time the model gave no atom, or more elements than a label can name."""
    protostructure: Protostructure
    """Canonical in the profile of the checkpoint."""
    label: str
    prototype: str
    novel: bool
    """The label is not in the training set."""
    novel_prototype: bool


@dataclass
class Tally:
    """What was drawn so far."""

    drawn: int = 0
    """Materials drawn, invalid ones and those passed over included."""
    invalid: int = 0
    thinned: int = 0
    """Passed over by their weight for novelty."""
    repeated: int = 0
    """Passed over as repetitions."""
    kept: int = 0
    novel: int = 0
    """Of those that are neither invalid nor thinned."""
    novel_prototypes: int = 0

    def is_repetition(self, sample: Sample, seen: set[int] | None) -> bool:
        """Whether its label is among those seen, which it joins; without any, nothing is a repetition."""
        if seen is None:
            return False
        before = len(seen)
        seen.add(fingerprint(sample.label))
        repeated = len(seen) == before
        self.repeated += repeated
        return repeated


def nothing_more(vain: int, tally: Tally) -> WyckoffkitError:
    """Where so many draws in a row gave nothing that may be kept."""
    return WyckoffkitError(
        f"{vain:,} draws in a row gave nothing to keep after {tally.kept:,} samples: ask for fewer, or for less"
    )


def iterate(
    model: Model,
    n: int,
    *,
    seed: int = 0,
    sampler: str = "auto",
    n_steps: int = 100,
    batch_size: int = 512,
    space_groups: Sequence[int] | None = None,
    novel_only: bool = False,
    reweight: bool = False,
    seen: set[int] | None = None,
    first: int = 0,
    tally: Tally | None = None,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Sample]:
    """Samples number `first`, `first` + 1 … until n have been yielded; constant memory whatever n is.

    With `novel_only` those whose label is in the training set are passed over, with `reweight` those that their weight
    for novelty rejects, and with `seen` (fingerprints of labels, which grow) repetitions. `space_groups` restricts p̂(s)
    to these.
    `progress` is told how many materials a batch has finished. Raises WyckoffkitError for a sampler or group that the
    model cannot serve.
    """
    draw = choose_sampler(model, sampler, n_steps)
    groups = group_law(model, space_groups)
    thinning = Thinning(model) if reweight else None
    groups = thinning.group_law(groups) if thinning else groups
    tally = tally if tally is not None else Tally()
    left, vain = n, 0
    if left == 0:
        return
    all_kept = not (novel_only or reweight or seen is not None)

    def block(i: int) -> list[Any]:
        # What is left shrinks only by what is kept, so batches stay full until the end.
        size = max(0, min(batch_size, n - i * batch_size)) if all_kept else batch_size
        numbers = np.arange(first + i * batch_size, first + i * batch_size + size)
        drawn, attempts = draw_block(model, draw, groups, seed, numbers, progress)
        labels = [format_label(p) for p in drawn]
        accepted = [True] * size if thinning is None else thinning.accepts(seed, numbers, drawn, labels)
        return [labels, attempts.tolist(), accepted]

    number = first
    for labels, attempts, accepted in in_turn(block):
        chosen = [i for i, is_accepted in enumerate(accepted) if is_accepted]
        numbers = [number + i for i in chosen]
        described = describe(model, [labels[i] for i in chosen], [attempts[i] for i in chosen], numbers)
        for tries, is_accepted in zip(attempts, accepted, strict=True):
            tally.drawn += tries
            tally.invalid += tries - 1
            vain += 1
            if not is_accepted:
                tally.thinned += 1
                continue
            item = next(described)
            tally.novel += item.novel
            tally.novel_prototypes += item.novel_prototype
            if (novel_only and not item.novel) or tally.is_repetition(item, seen):
                continue
            tally.kept += 1
            vain = 0
            yield item
            left -= 1
            if left == 0:
                return
        number += batch_size
        if vain >= MOST_IN_VAIN:
            raise nothing_more(vain, tally)


def group_law(model: Model, space_groups: Sequence[int] | None) -> Array:
    """p̂(s) over 0 … 230, renormalised over the groups asked for; uniform over them if the training set has none."""
    law = model.space_group_law
    if space_groups is None:
        return law
    wrong = [s for s in space_groups if not 1 <= s <= 230]
    if wrong or not space_groups:
        raise WyckoffkitError(f"space groups are numbered 1 to 230, got {wrong or 'none'}")
    chosen = np.zeros(231)
    chosen[list(space_groups)] = 1
    kept = law * chosen
    return kept / kept.sum() if kept.sum() > 0 else chosen / chosen.sum()


def draw_from(law: Array, uniform: Array) -> Array:
    """Inversion: the class of each uniform number, (N,) from probabilities (K,) or one row of (N, K) each."""
    below = law.cumsum(-1)
    below = below / below[..., -1:]
    if law.ndim == 1:
        return np.minimum(np.searchsorted(below, uniform, side="right"), np.flatnonzero(law)[-1])
    return np.minimum((below <= uniform[:, None]).sum(1), law.shape[1] - 1)


def draw_block(
    model: Model,
    draw: Callable[..., Batch],
    groups: Array,
    seed: int,
    numbers: Array,
    progress: Callable[[int], None] | None = None,
) -> tuple[list[Protostructure], Array]:
    """One canonical protostructure for each sample number, in that order, and how often each was drawn."""
    own = Streams.of(seed, torch.from_numpy(numbers))
    space_group = draw_from(groups, own.uniform(0, Draw.SPACE_GROUP).numpy())
    result: list[Protostructure | None] = [None] * len(numbers)
    attempts = np.zeros(len(numbers), dtype=np.int64)
    wanting = np.arange(len(numbers))
    for attempt in range(MOST_ATTEMPTS):
        # Groups with as many positions side by side, so that batches pad little.
        order = np.argsort(group_tables().n_positions.numpy()[space_group[wanting]], kind="stable")
        wanting = wanting[order]
        streams = Streams.of(seed, torch.from_numpy(numbers[wanting] + attempt * ATTEMPT))
        batch = _draw(model, draw, space_group[wanting], streams, progress if attempt == 0 else None)
        columns = batch.to_columns()
        usable = has_label(columns)
        attempts[wanting] += 1
        for i in np.flatnonzero(usable):
            result[wanting[i]] = columns.protostructure(int(i)).canonical(model.checkpoint.profile)
        wanting = np.sort(wanting[~usable])
        if len(wanting) == 0:
            return [p for p in result if p is not None], attempts
    raise WyckoffkitError(
        f"the model gave no material {MOST_ATTEMPTS} times in a row in space group {space_group[wanting[0]]}: "
        "each had no atom, or more elements than a label can name"
    )


def has_label(columns: WyckoffColumns) -> Array:
    """(N,) bool: at least one atom, and no more elements than a label has letters for."""
    material = np.repeat(np.arange(len(columns)), np.diff(columns.offset))
    present = np.unique((material << 8) | columns.element)
    n_elements = np.bincount(present >> 8, minlength=len(columns))
    return (n_elements > 0) & (n_elements <= len(FORMULA_LETTERS))


@torch.no_grad()
def _draw(
    model: Model,
    draw: Callable[..., Batch],
    space_group: Array,
    streams: Streams,
    progress: Callable[[int], None] | None,
) -> Batch:
    batch = Batch.empty(torch.from_numpy(space_group).to(model.device), model.checkpoint.config.n_elements)
    options: dict[str, Any] = {}
    if "n_tokens" in inspect.signature(draw).parameters:
        n_tokens = draw_from(model.token_law[space_group], streams.uniform(0, Draw.N_TOKENS).numpy())
        options["n_tokens"] = torch.from_numpy(n_tokens).to(model.device)
    if progress is not None:
        options["progress"] = lambda finished, total: progress(finished)
    return draw(model.network, batch, model.diffusion, streams.to(model.device), **options)


def describe(model: Model, labels: Sequence[str], attempts: Sequence[int], numbers: Sequence[int]) -> Iterator[Sample]:
    """Prototype and novelty of samples, by their canonical labels."""
    prototypes = prototype_labels(labels, model.checkpoint.profile)
    known, known_prototype = model.reference.knows_labels(labels), model.reference.knows_prototypes(prototypes)
    for i, label in enumerate(labels):
        new = not known[i], not known_prototype[i]
        yield Sample(numbers[i], attempts[i], parse_label(label), label, prototypes[i], *new)
