"""Many protostructures as a few tensors: the packed state, and the padded grid of positions it lives on.

`B` materials, `L` the most positions of a group in the batch, `C` constrained and `U` unconstrained positions
in all, `E` elements. The state is *packed* (no padding): materials in order, and within one its positions in
International Tables order. `constrained_cell` and `unconstrained_cell` say where each packed row lies in the
flattened (B, L) grid on which networks work.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from wyckoffkit import tables

if TYPE_CHECKING:
    from wyckoffkit.encoding import WyckoffColumns


@dataclass(frozen=True, eq=False)
class GroupTables:
    """What is fixed for each of the 1731 Wyckoff positions (rows) and 230 space groups (index = number)."""

    number: Tensor
    """(1731,) int64 space group of a row; rows run by group, then letter."""
    letter: Tensor
    """(1731,) int64 rank of the letter in its group: a is 0, A is 26."""
    dof: Tensor
    """(1731,) int64 degrees of freedom, 0 to 3."""
    multiplicity: Tensor
    """(1731,) int64 sites in the conventional cell, 1 to 192."""
    site_symmetry: Tensor
    """(1731,) int64 index into `site_symmetry_symbols`."""
    is_constrained: Tensor
    """(1731,) bool, dof 0."""
    kind_rank: Tensor
    """(1731,) int64 rank among the group's constrained, or among its unconstrained, positions."""
    first_row: Tensor
    """(231,) int64 row of letter a; entry 0 is no group."""
    n_positions: Tensor
    """(231,) int64."""
    n_constrained: Tensor
    """(231,) int64."""
    n_unconstrained: Tensor
    """(231,) int64."""

    def to(self, device: torch.device | str) -> GroupTables:
        return GroupTables(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


@cache
def site_symmetry_symbols() -> tuple[str, ...]:
    """The distinct oriented site-symmetry symbols of the table, sorted."""
    return tuple(sorted({row["site_symmetry"] for row in tables.rows("wyckoff_positions")}))


@cache
def _numpy_tables() -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
    rows = list(tables.rows("wyckoff_positions"))
    symbols = {symbol: index for index, symbol in enumerate(site_symmetry_symbols())}
    number = np.array([int(row["number"]) for row in rows])
    dof = np.array([int(row["dof"]) for row in rows])
    n_positions = np.bincount(number, minlength=231)
    n_constrained = np.bincount(number[dof == 0], minlength=231)
    first_row = np.concatenate([[0], np.cumsum(n_positions)[:-1]])
    is_constrained = dof == 0
    constrained_before = np.cumsum(is_constrained) - is_constrained
    constrained_rank = constrained_before - constrained_before[first_row[number]]
    letter = np.arange(len(rows)) - first_row[number]
    return {
        "number": number,
        "letter": letter,
        "dof": dof,
        "multiplicity": np.array([int(row["multiplicity"]) for row in rows]),
        "site_symmetry": np.array([symbols[row["site_symmetry"]] for row in rows]),
        "is_constrained": is_constrained,
        "kind_rank": np.where(is_constrained, constrained_rank, letter - constrained_rank),
        "first_row": first_row,
        "n_positions": n_positions,
        "n_constrained": n_constrained,
        "n_unconstrained": n_positions - n_constrained,
    }


@cache
def _tables_on(device: torch.device) -> GroupTables:
    # "cpu" by name, so that an enclosing `with torch.device("meta")` cannot empty the cached tables.
    on_cpu = {name: torch.as_tensor(array, device="cpu") for name, array in _numpy_tables().items()}
    return GroupTables(**on_cpu).to(device)


def group_tables(device: torch.device | str = "cpu") -> GroupTables:
    """The static tables on a device, built once."""
    return _tables_on(torch.device(device))


@dataclass(frozen=True, eq=False)
class Batch:
    """B materials: their groups, their state, and the layout that follows from the groups alone."""

    space_group: Tensor
    """(B,) int64, 1 to 230."""
    constrained: Tensor
    """(C,) int64 atomic number on each constrained position, 0 where it is empty."""
    unconstrained: Tensor
    """(U, E) int64 orbits of element e+1 on each unconstrained position."""
    constrained_material: Tensor
    """(C,) int64 material of each packed row."""
    unconstrained_material: Tensor
    """(U,) int64."""
    constrained_cell: Tensor
    """(C,) int64 index into the flattened (B, L) grid."""
    unconstrained_cell: Tensor
    """(U,) int64."""
    position_row: Tensor
    """(B, L) int64 row of the 1731-row table, 0 in padding."""
    position_mask: Tensor
    """(B, L) bool, False in padding."""
    constrained_mask: Tensor
    """(B, L) bool, True where the position is constrained (False in padding)."""
    lengths: Tensor
    """(B,) int64 positions of each material, always on the CPU: work is planned without waiting for a GPU."""
    condition: Tensor | None = None
    """(B,) float64 property that each material is asked to have, NaN for none; None where none is asked anything."""

    @classmethod
    def empty(cls, space_group: Tensor, n_elements: int = 100) -> Batch:
        """Materials of the given groups, (B,), with no orbit yet; on the device of `space_group`."""
        space_group = space_group.to(torch.int64)
        static = group_tables(space_group.device)
        n_positions = static.n_positions[space_group]  # (B,)
        grid = torch.arange(int(n_positions.max()), device=space_group.device)  # (L,)
        position_mask = grid < n_positions[:, None]  # (B, L)
        rows = static.first_row[space_group][:, None] + grid
        position_row = torch.where(position_mask, rows, 0)
        is_constrained = static.is_constrained[position_row]
        constrained_mask = is_constrained & position_mask
        constrained_cell = constrained_mask.flatten().nonzero().flatten()
        unconstrained_cell = (position_mask & ~is_constrained).flatten().nonzero().flatten()
        length = len(grid)
        return cls(
            space_group=space_group,
            constrained=torch.zeros_like(constrained_cell),
            unconstrained=space_group.new_zeros(len(unconstrained_cell), n_elements),
            constrained_material=constrained_cell // length,
            unconstrained_material=unconstrained_cell // length,
            constrained_cell=constrained_cell,
            unconstrained_cell=unconstrained_cell,
            position_row=position_row,
            position_mask=position_mask,
            constrained_mask=constrained_mask,
            lengths=n_positions.cpu(),
        )

    @classmethod
    def from_columns(
        cls,
        columns: WyckoffColumns,
        indices: np.ndarray[Any, Any] | Tensor | None = None,
        n_elements: int = 100,
    ) -> Batch:
        """The materials `indices` (all by default, in that order) of a columnar data set, on the CPU.

        Raises ValueError where an element lies beyond `n_elements`.
        """
        offset = np.asarray(columns.offset)
        index = np.arange(len(offset) - 1) if indices is None else np.asarray(indices)
        space_group = np.asarray(columns.space_group)[index].astype(np.int64)
        start, n_triples = offset[index], offset[index + 1] - offset[index]
        material = np.repeat(np.arange(len(index)), n_triples)
        triple = np.arange(len(material)) + np.repeat(start - np.cumsum(n_triples) + n_triples, n_triples)
        element = np.asarray(columns.element)[triple].astype(np.int64)
        count = np.asarray(columns.count)[triple].astype(np.int64)
        if len(element) and element.max() > n_elements:
            row, atomic_number = int(index[material[element.argmax()]]), element.max()
            raise ValueError(f"material {row} holds element {atomic_number}, the model ends at {n_elements}")

        static = _numpy_tables()
        table_row = static["first_row"][space_group[material]] + np.asarray(columns.position)[triple]
        rank = static["kind_rank"][table_row]
        is_constrained = static["is_constrained"][table_row]
        batch = cls.empty(torch.from_numpy(space_group), n_elements)
        n_constrained = static["n_constrained"][space_group]
        n_unconstrained = static["n_unconstrained"][space_group]
        packed = rank + np.where(
            is_constrained,
            (np.cumsum(n_constrained) - n_constrained)[material],
            (np.cumsum(n_unconstrained) - n_unconstrained)[material],
        )
        # The views share memory with the fresh tensors of `batch`, which nobody else holds yet.
        batch.constrained.numpy()[packed[is_constrained]] = element[is_constrained]
        free = ~is_constrained
        batch.unconstrained.numpy()[packed[free], element[free] - 1] = count[free]
        return batch

    def to_columns(self) -> WyckoffColumns:
        """The state as columnar triples, sorted by (material, position, element)."""
        from wyckoffkit.encoding import WyckoffColumns

        length = self.n_positions
        constrained, unconstrained = self.constrained.cpu().numpy(), self.unconstrained.cpu().numpy()
        occupied = constrained.nonzero()[0]
        row, column = unconstrained.nonzero()
        cell = np.concatenate(
            [self.constrained_cell.cpu().numpy()[occupied], self.unconstrained_cell.cpu().numpy()[row]]
        )
        element = np.concatenate([constrained[occupied], column + 1])
        count = np.concatenate([np.ones_like(occupied), unconstrained[row, column]])
        order = np.lexsort((element, cell))
        n_triples = np.bincount(cell // length, minlength=self.n_materials)
        return WyckoffColumns(
            space_group=self.space_group.cpu().numpy().astype(np.uint8),
            offset=np.concatenate([[0], np.cumsum(n_triples)]).astype(np.int64),
            position=(cell % length)[order].astype(np.uint8),
            element=element[order].astype(np.uint8),
            count=count[order].astype(np.uint8),
        )

    @property
    def n_materials(self) -> int:
        """B."""
        return self.space_group.shape[0]

    @property
    def n_positions(self) -> int:
        """L, the width of the padded grid."""
        return self.position_row.shape[1]

    @property
    def n_elements(self) -> int:
        """E."""
        return self.unconstrained.shape[1]

    @property
    def device(self) -> torch.device:
        return self.space_group.device

    def with_state(self, constrained: Tensor, unconstrained: Tensor) -> Batch:
        """The same materials with another state, (C,) and (U, E)."""
        return replace(self, constrained=constrained, unconstrained=unconstrained)

    def with_condition(self, condition: Tensor | None) -> Batch:
        """The same materials, asked to have a property (B,), NaN for none."""
        return replace(self, condition=condition)

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Batch:
        moved = {name: x.to(device, non_blocking=non_blocking) for name, x in self._tensors() if name != "lengths"}
        return Batch(**moved, lengths=self.lengths)

    def _tensors(self) -> list[tuple[str, Tensor]]:
        return [(f.name, getattr(self, f.name)) for f in fields(self) if getattr(self, f.name) is not None]

    def pin_memory(self) -> Batch:
        """The same in page-locked memory, from where copies to a GPU overlap with its work."""
        return Batch(**{name: x.pin_memory() for name, x in self._tensors()})

    def n_tokens(self) -> Tensor:
        """(B,) int64 occupied slots: constrained positions, and (unconstrained position, element) pairs."""
        counts = self.space_group.new_zeros(self.n_materials)
        counts = counts.index_add(0, self.constrained_material, (self.constrained != 0).to(counts.dtype))
        return counts.index_add(0, self.unconstrained_material, (self.unconstrained != 0).sum(1))
