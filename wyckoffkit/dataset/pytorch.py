"""Datasets for PyTorch: materials as tensors (s, z0, z∞), in batches of one space group, which need no padding.

`reference_model` has batches of its own that mix groups; this is for networks that others write. Needs the extra
`[model]`, and is imported by name alone, so that the toolkit does without PyTorch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.utils import data as torch_data

from ..encoding import WyckoffColumns
from ..errors import DatasetError
from .form import SPLITS, Dataset
from .store import read_dataset


class Material(NamedTuple):
    """One material; or, with a leading dimension B, a batch of one space group. T properties were asked for."""

    row: Tensor
    """() int64 row in the file."""
    space_group: Tensor
    """() int64, 1 to 230."""
    constrained: Tensor
    """z0 (C,) int64: atomic number on each constrained position, 0 where empty."""
    unconstrained: Tensor
    """z∞ (U, E) int64: orbits of element e + 1 on each unconstrained position."""
    properties: Tensor
    """(T,) float32, NaN where unknown."""


class WyckoffDataset(torch_data.Dataset[Material]):
    """The materials of one split of a dataset (of all, where `split` is None), in memory: 10 bytes a slot or so."""

    def __init__(
        self, dataset: Dataset | str | Path, *, split: str | None = "train", properties: Sequence[str] = ()
    ) -> None:
        """Raises DatasetError for a file that is no dataset, a split or property that it does not have."""
        source = dataset if isinstance(dataset, Dataset) else read_dataset(dataset)
        if split is not None and split not in SPLITS:
            raise DatasetError(f"the splits are {', '.join(SPLITS)}, got {split!r}")
        missing = [name for name in properties if name not in source.properties]
        if missing:
            raise DatasetError(
                f"the dataset has no property {missing[0]!r}; it has {', '.join(source.properties) or 'none'}"
            )
        self.rows: NDArray[np.int64] = np.arange(len(source)) if split is None else source.indices(split)
        """(N,) row in the file of each material."""
        self.columns: WyckoffColumns = source.columns.select(self.rows)
        self.n_elements = source.n_elements
        """E."""
        columns = [source.properties[name][self.rows] for name in properties]
        self._properties = torch.from_numpy(
            np.array(columns, np.float32).reshape(len(columns), len(self.rows)).T.copy()
        )

    @property
    def space_group(self) -> NDArray[np.uint8]:
        """(N,) group of each material."""
        return self.columns.space_group

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Material:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Material]:
        """Several materials of one space group at once, as a DataLoader asks for them.

        Raises DatasetError where they are of more than one: their tensors have different shapes.
        """
        chosen = np.asarray(indices, np.int64)
        here = self.columns.select(chosen)
        groups = np.unique(here.space_group)
        if len(groups) != 1:
            raise DatasetError(
                f"a batch holds materials of one space group, this one of {len(groups)}: give the DataLoader "
                "batch_sampler=SpaceGroupBatches(…)"
            )
        _, constrained, unconstrained = here.dense(int(groups[0]), n_elements=self.n_elements)
        columns = (
            torch.from_numpy(self.rows[chosen]),
            torch.full((len(chosen),), int(groups[0])),
            torch.from_numpy(constrained).long(),
            torch.from_numpy(unconstrained).long(),
            self._properties[chosen],
        )
        return [Material(*fields) for fields in zip(*columns, strict=True)]


class SpaceGroupBatches(torch_data.Sampler[list[int]]):
    """Batches of one space group each, in an order drawn by (seed, epoch): every material once an epoch.

    Of `world_size` processes, each of its `rank` gets as many batches as the others, and no material twice: the
    largest batches are halved until their number can be shared.
    """

    def __init__(
        self,
        space_group: ArrayLike,
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        """`space_group` (N,) of the materials, `batch_size` the most in one batch. DatasetError for what cannot be."""
        self._group: NDArray[Any] = np.asarray(space_group)
        if batch_size < 1 or not 0 <= rank < world_size:
            raise DatasetError(f"no batches of {batch_size} for process {rank} of {world_size}")
        self.batch_size, self.seed, self.shuffle = batch_size, seed, shuffle
        self.rank, self.world_size = rank, world_size
        self.epoch = 0
        self._sizes = _sizes(np.unique(self._group, return_counts=True)[1], batch_size, world_size)

    def set_epoch(self, epoch: int) -> None:
        """The order of epoch `epoch` comes next; without it, all epochs are alike."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Batches an epoch of this process."""
        return len(self._sizes) // self.world_size

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        n = len(self._group)
        order = rng.permutation(n) if self.shuffle else np.arange(n)
        order = order[np.argsort(self._group[order], kind="stable")]
        ends = np.cumsum(self._sizes)
        batches = rng.permutation(len(ends)) if self.shuffle else np.arange(len(ends))
        for i in batches[self.rank :: self.world_size].tolist():
            yield order[ends[i] - self._sizes[i] : ends[i]].tolist()


def _sizes(counts: NDArray[np.int64], batch_size: int, world_size: int) -> NDArray[np.int64]:
    """Sizes of the batches, group after group: nearly equal in a group, and a multiple of `world_size` in number."""
    sizes = [
        len(part) for count in counts.tolist() for part in np.array_split(np.empty(count), -(-count // batch_size))
    ]
    if -(-len(sizes) // world_size) * world_size > counts.sum():
        raise DatasetError(f"{counts.sum()} materials cannot be shared by {world_size} processes")
    while len(sizes) % world_size:
        at = int(np.argmax(sizes))
        sizes[at : at + 1] = [sizes[at] // 2, sizes[at] - sizes[at] // 2]
    return np.array(sizes, np.int64)
