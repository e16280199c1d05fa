"""A build on a dask.distributed cluster of several processes."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from breaking_labour import labour
from real_structures import PATH, real_structures

from wyckoffkit.build import BuildOptions, build_dataset, cluster
from wyckoffkit.build.pool import run
from wyckoffkit.build.work import Shard
from wyckoffkit.errors import WyckoffkitError
from wyckoffkit.sources import Entry

distributed = pytest.importorskip("distributed")
dask = pytest.importorskip("dask")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # distributed's own warnings


def test_a_cluster_writes_the_file_that_one_process_writes(tmp_path: Path) -> None:
    source = tmp_path / "x.jsonl"
    source.write_text(PATH.read_text() * 20 + json.dumps({"material_id": "bad"}) + "\n")
    build_dataset([source], tmp_path / "alone.h5")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as here:
        build_dataset([source], tmp_path / "cluster.h5", scheduler=here.scheduler_address)
    assert (tmp_path / "cluster.h5").read_bytes() == (tmp_path / "alone.h5").read_bytes()


def test_an_entry_that_kills_or_hangs_the_workers_of_a_cluster_is_rejected_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster, "_labour", partial(cluster._labour, labour=labour))
    monkeypatch.setattr(cluster, "run", partial(run, labour=labour))
    label = real_structures()[0].label.encode()
    entries = [Entry(name, name, "label", label) for name in ("a", "hang", "b", "segfault", "c")]
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as here,
    ):
        tasks = iter([(7, entries), (8, entries[:1]), (9, entries[2:])])
        done = dict(cluster.run_on_cluster(tasks, BuildOptions(), here.scheduler_address, 5))
    found = Shard.from_bytes(done[7])
    assert [name.decode() for name in found.texts["material_id"]] == ["a", "b", "c"]
    assert found.texts["rejected_reason"].tolist() == [
        b"not finished within 5 s, twice",
        b"the worker process died on this entry, twice (SIGSEGV)",
    ]
    assert len(Shard.from_bytes(done[8]).columns) == 1
    assert len(Shard.from_bytes(done[9]).columns) == 2


def test_a_scheduler_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wyckoffkit.cluster._PATIENCE", 1)
    with pytest.raises(WyckoffkitError, match=r"no dask scheduler answers at tcp://127\.0\.0\.1:1"):
        list(cluster.run_on_cluster(iter([]), BuildOptions(), "tcp://127.0.0.1:1", 60))
