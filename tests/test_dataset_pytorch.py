"""Datasets for PyTorch: every material once an epoch, in batches of one group, shared by any number of processes."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from real_structures import real_structures

from wyckoffkit import SpaceGroup
from wyckoffkit.build import Split, build_dataset
from wyckoffkit.dataset import read_dataset
from wyckoffkit.encoding import WyckoffArrays, decode
from wyckoffkit.errors import DatasetError

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader  # noqa: E402  # after the skip

from wyckoffkit.dataset.pytorch import Material, SpaceGroupBatches, WyckoffDataset  # noqa: E402


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pytorch") / "x.h5"
    energies = path.with_name("x.csv")
    rows = [f"{r.material_id},{r.label},{-i}\n" for i, r in enumerate(real_structures())]
    energies.write_text("material_id,label,e_form_per_atom\n" + "".join(rows) + f"last,{real_structures()[0].label},\n")
    build_dataset([energies], path, split=Split(counts=(5, 3)))
    return path


def test_the_tensors_of_a_material_are_its_label(real: Path) -> None:
    labels = read_dataset(real).label.tolist()
    data = WyckoffDataset(real, split=None, properties=["e_form_per_atom"])
    assert len(data) == len(labels)
    for i, label in enumerate(labels):
        found = data[i]
        group = SpaceGroup.from_number(int(found.space_group))
        arrays = WyckoffArrays(group, found.constrained.numpy(), found.unconstrained.numpy())
        assert str(decode(arrays)) == label
        assert int(found.row) == i
    assert [float(data[i].properties[0]) for i in range(3)] == [0, -1, -2]
    assert bool(data[len(labels) - 1].properties.isnan())


def test_a_split_has_its_own_rows(real: Path) -> None:
    rows = [WyckoffDataset(real, split=name).rows.tolist() for name in ("train", "validation", "test")]
    assert [len(part) for part in rows[1:]] == [5, 3]
    assert sorted(chain(*rows)) == list(range(len(real_structures()) + 1))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_loader_gives_batches_that_need_no_padding(real: Path, num_workers: int) -> None:
    data = WyckoffDataset(real, split=None)
    batches = SpaceGroupBatches(data.space_group, 4, seed=1)
    loader = DataLoader(data, batch_sampler=batches, num_workers=num_workers)
    seen: list[int] = []
    for batch in loader:
        assert isinstance(batch, Material)
        (number,) = set(batch.space_group.tolist())
        group = SpaceGroup.from_number(number)
        n = len(batch.row)
        assert n <= 4
        assert batch.constrained.shape == (n, len(group.constrained))
        assert batch.unconstrained.shape == (n, len(group.unconstrained), data.n_elements)
        assert batch.properties.shape == (n, 0)
        seen += batch.row.tolist()
    assert len(loader) == len(batches)
    assert sorted(seen) == list(range(len(data)))
    assert seen == list(chain(*batches))


GROUPS = st.lists(st.sampled_from([1, 2, 62, 166, 225, 230]), min_size=4, max_size=80)


@settings(max_examples=200)
@given(GROUPS, st.integers(1, 9), st.integers(1, 4), st.integers(0, 3), st.booleans())
def test_every_material_comes_once_an_epoch_whatever_the_number_of_processes(
    groups: list[int], batch_size: int, world_size: int, epoch: int, shuffle: bool
) -> None:
    n_least = sum(-(-groups.count(group) // batch_size) for group in set(groups))
    if -(-n_least // world_size) * world_size > len(groups):
        with pytest.raises(DatasetError, match="cannot be shared"):
            SpaceGroupBatches(groups, batch_size, world_size=world_size)
        return
    shares = []
    for rank in range(world_size):
        batches = SpaceGroupBatches(groups, batch_size, shuffle=shuffle, rank=rank, world_size=world_size)
        batches.set_epoch(epoch)
        shares.append(list(batches))
        assert len(batches) == len(shares[-1])
    assert len({len(share) for share in shares}) == 1
    everything = list(chain(*shares))
    assert sorted(chain(*everything)) == list(range(len(groups)))
    assert all(1 <= len(batch) <= batch_size for batch in everything)
    assert all(len({groups[i] for i in batch}) == 1 for batch in everything)


def test_the_order_follows_from_seed_and_epoch_alone() -> None:
    groups = np.repeat([1, 62, 225], 50)

    def order(seed: int, epoch: int) -> list[list[int]]:
        batches = SpaceGroupBatches(groups, 8, seed=seed)
        batches.set_epoch(epoch)
        return list(batches)

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1) != order(1, 1)
    still = SpaceGroupBatches(groups, 8, shuffle=False)
    assert list(chain(*still)) == list(range(150))


def test_what_cannot_be_loaded_is_refused_in_a_sentence(real: Path) -> None:
    data = WyckoffDataset(real, split=None)
    two = [int(np.flatnonzero(data.space_group == group)[0]) for group in np.unique(data.space_group)[:2]]
    with pytest.raises(DatasetError, match=r"of one space group, this one of 2: .* batch_sampler=SpaceGroupBatches"):
        data.__getitems__(two)
    with pytest.raises(DatasetError, match="the splits are train, validation, test, got 'val'"):
        WyckoffDataset(real, split="val")
    with pytest.raises(DatasetError, match="no property 'band_gap'; it has e_form_per_atom"):
        WyckoffDataset(real, properties=["band_gap"])
    with pytest.raises(DatasetError, match="3 materials cannot be shared by 4 processes"):
        SpaceGroupBatches([1, 1, 1], 2, world_size=4)
    with pytest.raises(DatasetError, match="no batches of 0 for process 0 of 1"):
        SpaceGroupBatches([1, 1, 1], 0)
