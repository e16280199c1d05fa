"""What a run is fed: epochs, batches dealt to processes, and batches made ahead."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from small_materials import small_materials

from reference_model.train.data import TrainingData, epoch_order
from reference_model.train.prefetch import ahead
from wyckoffkit import WyckoffkitError


@pytest.mark.parametrize("n, batch_size", [(100, 7), (100, 100), (5, 8), (1, 1), (1000, 16)])
def test_an_epoch_visits_materials_once_in_batches_of_equal_length(n, batch_size):
    batches = epoch_order(n, batch_size, 0, 0)
    size = min(n, batch_size)
    assert all(len(batch) == size for batch in batches)
    assert len(batches) == n // size
    visited = np.concatenate(batches)
    assert len(np.unique(visited)) == len(visited)


def test_an_epoch_is_a_function_of_seed_and_number():
    a, b, c, d = (epoch_order(64, 8, *key) for key in ((0, 0), (0, 0), (0, 1), (1, 0)))
    assert all((x == y).all() for x, y in zip(a, b, strict=True))
    assert any((x != y).any() for x, y in zip(a, c, strict=True))
    assert any((x != y).any() for x, y in zip(a, d, strict=True))


def test_batches_dealt_to_processes_are_those_of_one_process():
    columns, _ = small_materials(40)
    data = TrainingData(columns, 20, 8, seed=3)

    def take(n, *arguments):
        batches = data.batches(*arguments)
        return {number: batch.space_group.tolist() for number, batch in (next(batches) for _ in range(n))}

    whole = take(12)
    assert list(whole) == list(range(12))
    assert take(6, 0, 2, 0) | take(6, 0, 2, 1) == whole
    assert take(5, 7) == {number: whole[number] for number in range(7, 12)}


def test_a_batch_holds_the_materials_it_names():
    columns, _ = small_materials(40)
    _, batch = next(TrainingData(columns, 20, 8, seed=3).batches())
    assert batch.to_columns() == columns.select(epoch_order(40, 8, 3, 0)[0])


def test_batches_made_ahead_are_the_same_in_the_same_order():
    assert list(ahead(iter(range(50)))) == list(range(50))
    assert list(ahead(iter([]))) == []


def test_no_more_than_the_depth_is_made_ahead_and_nothing_after_closing():
    made = []
    items = ahead((made.append(i) or i for i in range(1000)), depth=3)
    assert [next(items), next(items)] == [0, 1]
    items.close()
    assert 2 <= len(made) <= 2 + 3 + 1
    assert not [t for t in threading.enumerate() if t.name == "prefetch"]


def test_an_error_of_a_batch_is_raised_at_its_turn():
    def failing():
        yield 1
        raise WyckoffkitError("the second batch is broken")

    items = ahead(failing())
    assert next(items) == 1
    with pytest.raises(WyckoffkitError, match="second batch"):
        next(items)
