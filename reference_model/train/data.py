"""Training materials in memory, and the order in which an epoch visits them.

All of WBM is about 20 bytes a material here. The order is a function of (seed, epoch) alone, so a resumed run needs no
more than its step number to continue where it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from wyckoffkit.canonical import position_permutations

from ..batch import Batch

if TYPE_CHECKING:
    from wyckoffkit.encoding import WyckoffColumns

    Array = np.ndarray[Any, np.dtype[Any]]


def epoch_order(n_materials: int, batch_size: int, seed: int, epoch: int) -> list[Array]:
    """The micro-batches of an epoch, as index arrays of equal length; a remainder waits for another epoch.

    Groups large and small meet in a batch: the networks do not pad, and batches of materials alike in size, as
    padding would ask for, learned slower (1.0 bits a material behind after 70,000 of WBM).
    """
    order = np.random.default_rng([seed, epoch]).permutation(n_materials)
    size = min(batch_size, n_materials)
    return np.split(order[: n_materials // size * size], n_materials // size)


@dataclass(frozen=True, eq=False)
class Settings:
    """The equivalent settings of every group under one profile, as permutations of position indices."""

    first: Array
    """(231,) int64 first row of a group in `image`."""
    number: Array
    """(231,) int64 rows of a group, at least 1 (the identity) for groups 1 to 230, none for 0."""
    image: Array
    """(R, 27) uint8: position p of the group becomes image[row, p]."""


@cache
def equivalent_settings(profile: str) -> Settings:
    """The table of relabelings; the identity is the first row of each group. ProtostructureError for no profile."""
    rows = [np.zeros((0, 0), np.uint8), *(position_permutations(number, profile) for number in range(1, 231))]
    number = np.array([len(group) for group in rows])
    image = np.concatenate([np.pad(group, ((0, 0), (0, 27 - group.shape[1]))) for group in rows])
    return Settings(first=np.cumsum(number) - number, number=number, image=image)


def in_random_settings(columns: WyckoffColumns, profile: str, rng: np.random.Generator) -> WyckoffColumns:
    """Each material in one of its group's equivalent settings, drawn uniformly over the relabelings.

    Triples keep their place, so positions are no longer sorted within a material; `Batch.from_columns` does not mind.
    """
    settings = equivalent_settings(profile)
    group = np.asarray(columns.space_group).astype(np.int64)
    drawn = settings.first[group] + rng.integers(settings.number[group])
    material = np.repeat(np.arange(len(group)), np.diff(columns.offset))
    return replace(columns, position=settings.image[drawn[material], columns.position])


def _mixed(x: Array) -> Array:
    """A 64-bit number for each, as good as random: SplitMix64 (Steele, Lea and Flood 2014)."""
    x = (x + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def count_settings(columns: WyckoffColumns, profile: str) -> Array:
    """(N,) int64 distinct occupations among the equivalent settings of each material: the size of its orbit."""
    settings = equivalent_settings(profile)
    group = np.asarray(columns.space_group)
    sizes = np.ones(len(group), dtype=np.int64)
    for s in np.unique(group):
        rows = np.flatnonzero(group == s)
        here = columns.select(rows)
        material = np.repeat(np.arange(len(rows)), np.diff(here.offset))
        rest = (here.element.astype(np.uint64) << 8) | here.count
        # A setting is told by the sum of one random number for each token: order plays no part.
        sums = np.zeros((settings.number[s], len(rows)), dtype=np.uint64)
        for i, row in enumerate(range(settings.first[s], settings.first[s] + settings.number[s])):
            np.add.at(sums[i], material, _mixed((settings.image[row, here.position].astype(np.uint64) << 16) | rest))
        sums.sort(axis=0)
        sizes[rows] = 1 + (np.diff(sums, axis=0) != 0).sum(0)
    return sizes


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Materials of one split and how to batch them."""

    columns: WyckoffColumns
    n_elements: int
    batch_size: int
    seed: int
    augmentation: str | None = None
    """Profile whose equivalent settings are drawn afresh each epoch, or None for the canonical setting."""
    condition: Array | None = None
    """(N,) property that the network is told, NaN where it is not known."""

    @property
    def n_materials(self) -> int:
        return len(self.columns.space_group)

    @property
    def batches_per_epoch(self) -> int:
        return self.n_materials // min(self.batch_size, self.n_materials)

    def batches(self, start: int = 0, stride: int = 1, first: int = 0) -> Iterator[tuple[int, Batch]]:
        """(number, micro-batch) from number `start` on, for ever; numbers count over all epochs.

        With `stride` n and `first` r, only those with number ≡ r (mod n): the share of process r of n.
        """
        epoch, order, columns = -1, [], self.columns
        number = start + (first - start) % stride
        while True:
            if number // self.batches_per_epoch != epoch:
                epoch = number // self.batches_per_epoch
                order = epoch_order(self.n_materials, self.batch_size, self.seed, epoch)
                if self.augmentation is not None:
                    rng = np.random.default_rng([self.seed, epoch, 1])
                    columns = in_random_settings(self.columns, self.augmentation, rng)
            rows = order[number % len(order)]
            batch = Batch.from_columns(columns, rows, self.n_elements)
            if self.condition is not None:
                batch = batch.with_condition(torch.from_numpy(self.condition[rows]))
            yield number, batch
            number += stride
