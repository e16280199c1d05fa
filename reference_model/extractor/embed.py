"""An extractor: protostructures in, aggregated embeddings and formation energies out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from .sites import Featuriser, Rows, batches
from .wrenformer import Projected, embed_rows, predict

if TYPE_CHECKING:
    from wyckoffkit.encoding import WyckoffColumns

    Array = np.ndarray[Any, np.dtype[Any]]

SLOTS_A_BATCH = 16_384


@dataclass(frozen=True, eq=False)
class Embedded:
    """What an extractor says of N materials."""

    embedding: Array
    """(N, D) float32; NaN where an element has no features."""
    energy: Array
    """(N,) float64 formation energy, eV/atom (NaN likewise); NaN throughout where the extractor predicts none."""

    @property
    def is_known(self) -> Array:
        """(N,) bool: all elements have features."""
        return ~np.isnan(self.embedding[:, 0])

    def __getitem__(self, rows: Any) -> Embedded:
        return Embedded(self.embedding[rows], self.energy[rows])


@dataclass(frozen=True, eq=False)
class Extractor:
    """A Wrenformer, on the CPU, with the tables of its first layer."""

    network: nn.Module
    tables: Projected
    has_features: Array
    """(119,) bool by atomic number."""
    position_class: Array
    """(1731,) equal numbers for positions with equal features."""
    digest: str
    """SHA-256 of the weights: what FWD values are compared by."""
    name: str
    profile: str = "pymatgen"
    energy_scale: tuple[float, float] | None = None
    """(mean, std) in eV/atom of the training energies; None where the output is no formation energy or unscaled."""
    card: dict[str, Any] = field(default_factory=dict)
    _featurisers: list[Featuriser] = field(default_factory=list)

    @property
    def n_dimensions(self) -> int:
        """D."""
        return self.tables.element.shape[1]

    def featuriser(self) -> Featuriser:
        """Made once; it remembers patterns."""
        if not self._featurisers:
            from wyckoffkit.canonical import position_permutations

            self._featurisers.append(
                Featuriser(lambda number: position_permutations(number, self.profile), self.position_class)
            )
        return self._featurisers[0]

    def embed(self, columns: WyckoffColumns, progress: Callable[[int], None] = lambda n: None) -> Embedded:
        """Embeddings of the materials, in any setting; `progress` hears of the materials that are done."""
        n = len(columns)
        material = np.repeat(np.arange(n), np.diff(columns.offset))
        known = np.ones(n, bool)
        known[material[~self.has_features[columns.element]]] = False
        chosen = np.flatnonzero(known)
        total = torch.zeros(len(chosen), self.n_dimensions)
        with torch.inference_mode():
            for rows in self.featuriser().rows(columns.select(chosen)):
                self._add(rows, total, progress)
            output = predict(self.network, total) if len(chosen) else torch.zeros(0, 1)
        embedding = np.full((n, self.n_dimensions), np.nan, np.float32)
        embedding[chosen] = total.numpy()
        energy = np.full(n, np.nan)
        if self.energy_scale is not None:
            mean, std = self.energy_scale
            energy[chosen] = mean + std * output[:, 0].double().numpy()
        return Embedded(embedding, energy)

    def _add(self, rows: Rows, total: Tensor, progress: Callable[[int], None]) -> None:
        """Add the weighted embeddings of `rows` to their materials' rows of `total` (N, D)."""
        for span in batches(rows, SLOTS_A_BATCH):
            embedded = embed_rows(self.network, self.tables, *tensors(rows, span))
            material = torch.from_numpy(rows.material[span])
            total.index_add_(0, material, embedded * torch.from_numpy(rows.weight[span])[:, None])
            progress(len(np.unique(rows.material[span])))


def tensors(rows: Rows, pick: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """element, position, ratio, count (R, n) of the picked rows."""
    return (
        torch.from_numpy(rows.element[pick].astype(np.int64)),
        torch.from_numpy(rows.position[pick].astype(np.int64)),
        torch.from_numpy(rows.ratio[pick]),
        torch.from_numpy(rows.count[pick]),
    )
