"""Batches: packed state, padded grid, columns."""

from __future__ import annotations

from dataclasses import fields
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from reference_model.batch import Batch, group_tables, site_symmetry_symbols
from wyckoffkit import tables
from wyckoffkit.spacegroup import LETTERS

ROWS = list(tables.rows("wyckoff_positions"))
OF_GROUP = {n: [row for row in ROWS if int(row["number"]) == n] for n in range(1, 231)}


def random_columns(n_materials: int, seed: int = 0) -> SimpleNamespace:
    """Materials of random groups with random orbits, some with none; triples sorted as in WyckoffColumns."""
    rng = np.random.default_rng(seed)
    space_group = rng.integers(1, 231, n_materials)
    triples: list[tuple[int, int, int]] = []
    offset = [0]
    for number in space_group:
        chosen: dict[tuple[int, int], int] = {}
        for _ in range(rng.integers(0, 6)):
            position = int(rng.integers(len(OF_GROUP[number])))
            element = int(rng.integers(1, 101))
            if OF_GROUP[number][position]["dof"] != "0":
                chosen[position, element] = int(rng.integers(1, 55))
            elif not any(p == position for p, _ in chosen):
                chosen[position, element] = 1
        triples += [(p, e, c) for (p, e), c in sorted(chosen.items())]
        offset.append(len(triples))
    position, element, count = np.array(triples, dtype=np.uint8).T
    return SimpleNamespace(
        space_group=space_group.astype(np.uint8),
        offset=np.array(offset, dtype=np.int64),
        position=position,
        element=element,
        count=count,
    )


def test_static_tables_are_the_rows_of_the_csv():
    static = group_tables()
    assert len(ROWS) == 1731 == len(static.number)
    for index, row in enumerate(ROWS):
        assert int(static.number[index]) == int(row["number"])
        assert LETTERS[static.letter[index]] == row["letter"]
        assert int(static.dof[index]) == int(row["dof"])
        assert int(static.multiplicity[index]) == int(row["multiplicity"])
        assert site_symmetry_symbols()[static.site_symmetry[index]] == row["site_symmetry"]
        assert bool(static.is_constrained[index]) == (row["dof"] == "0")
        same_kind = [r for r in OF_GROUP[int(row["number"])] if (r["dof"] == "0") == (row["dof"] == "0")]
        assert int(static.kind_rank[index]) == same_kind.index(row)
    assert int(static.n_constrained.sum()) == 616
    assert int(static.n_unconstrained.sum()) == 1115


def test_an_empty_batch_lays_out_every_group_in_table_order():
    batch = Batch.empty(torch.arange(1, 231), n_elements=3)
    assert (batch.n_materials, batch.n_positions, batch.n_elements) == (230, 27, 3)
    for m, number in enumerate(range(1, 231)):
        rows = OF_GROUP[number]
        assert batch.position_mask[m].tolist() == [p < len(rows) for p in range(27)]
        assert [ROWS[r] for r in batch.position_row[m, : len(rows)].tolist()] == rows
        assert not batch.position_row[m, len(rows) :].any()
        constrained = [p for p, row in enumerate(rows) if row["dof"] == "0"]
        assert batch.constrained_mask[m].nonzero().flatten().tolist() == constrained
        in_material = batch.constrained_material == m
        assert (batch.constrained_cell[in_material] - 27 * m).tolist() == constrained
        free = [p for p in range(len(rows)) if p not in constrained]
        assert (batch.unconstrained_cell[batch.unconstrained_material == m] - 27 * m).tolist() == free


def test_a_batch_holds_exactly_the_triples_of_the_chosen_materials_in_order():
    columns = random_columns(300)
    indices = np.random.default_rng(1).permutation(300)[:120]
    batch = Batch.from_columns(columns, indices)
    seen = [set() for _ in indices]
    for k in range(len(batch.constrained)):
        if batch.constrained[k]:
            cell = int(batch.constrained_cell[k])
            seen[cell // batch.n_positions].add((cell % batch.n_positions, int(batch.constrained[k]), 1))
    for k, e in batch.unconstrained.nonzero().tolist():
        cell = int(batch.unconstrained_cell[k])
        seen[cell // batch.n_positions].add((cell % batch.n_positions, e + 1, int(batch.unconstrained[k, e])))
    for m, i in enumerate(indices):
        s = slice(columns.offset[i], columns.offset[i + 1])
        triples = zip(columns.position[s], columns.element[s], columns.count[s], strict=True)
        assert seen[m] == {tuple(map(int, triple)) for triple in triples}
        assert int(batch.space_group[m]) == columns.space_group[i]
    assert batch.n_tokens().tolist() == (columns.offset[indices + 1] - columns.offset[indices]).tolist()


def test_columns_survive_the_round_trip_through_a_batch():
    columns = random_columns(200, seed=3)
    back = Batch.from_columns(columns).to_columns()
    for name in ("space_group", "offset", "position", "element", "count"):
        np.testing.assert_array_equal(getattr(back, name), getattr(columns, name))
        assert getattr(back, name).dtype == getattr(columns, name).dtype


def test_an_element_beyond_the_model_is_named_not_clipped():
    columns = SimpleNamespace(
        space_group=np.array([1, 225], np.uint8),
        offset=np.array([0, 1, 2]),
        position=np.array([0, 1], np.uint8),
        element=np.array([8, 94], np.uint8),
        count=np.array([1, 1], np.uint8),
    )
    with pytest.raises(ValueError, match="material 1 holds element 94, the model ends at 92"):
        Batch.from_columns(columns, n_elements=92)


def test_a_new_state_keeps_the_layout_and_a_move_takes_all_along_but_the_lengths_which_the_host_reads():
    batch = Batch.from_columns(random_columns(10))
    changed = batch.with_state(batch.constrained + 1, batch.unconstrained)
    assert changed.position_row is batch.position_row
    assert int(changed.n_tokens().sum()) == len(batch.constrained) + int((batch.unconstrained != 0).sum())
    moved = batch.to("meta")
    for field in fields(batch):
        before, after = getattr(batch, field.name), getattr(moved, field.name)
        if before is not None:
            device = "cpu" if field.name == "lengths" else "meta"
            assert (after.device.type, after.shape, after.dtype) == (device, before.shape, before.dtype), field.name
