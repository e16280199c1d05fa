"""The work of a build on a dask.distributed cluster: the same chunks, so the same file."""

from __future__ import annotations

import faulthandler
import time
from collections.abc import Generator, Iterator, Sequence
from typing import Any

from ..errors import DatasetError
from ..sources import Entry
from .options import BuildOptions
from .pool import Labour, Task, run
from .work import work

_PATIENCE = 30  # s for the scheduler to answer
_AHEAD = 3  # chunks on their way for each thread of the cluster


def run_on_cluster(
    tasks: Iterator[Task], options: BuildOptions, address: str, timeout: float
) -> Generator[tuple[int, bytes], None, None]:
    """(index, shard as bytes) of every task, as they are finished. DatasetError if there is no scheduler.

    A worker that spends more than `timeout` seconds on one entry ends itself. dask gives a chunk up when the workers
    that hold it keep dying, whoever is to blame. Such a chunk is done here, by `pool.run`, which rejects the one entry.
    """
    try:
        from distributed import Client, KilledWorker, as_completed
    except ImportError:
        raise DatasetError("--scheduler needs dask.distributed: pip install 'wyckoffkit[distributed]'") from None
    try:
        client = Client(address, timeout=f"{_PATIENCE}s", set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise DatasetError(f"no dask scheduler answers at {address}: {error}") from None
    with client:
        waiting: dict[Any, Task] = {}
        finished = as_completed(loop=client.loop)
        while True:
            while len(waiting) < _AHEAD * max(1, sum(client.nthreads().values())):
                task = next(tasks, None)
                if task is None:
                    break
                future = client.submit(_labour, task[1], options, timeout, pure=False)
                waiting[future] = task
                finished.add(future)
            if not waiting:
                return
            future = next(finished)
            index, entries = waiting.pop(future)
            try:
                yield index, future.result()
            except KilledWorker:
                yield from run(iter([(index, entries)]), options, 1, timeout)


def _labour(entries: Sequence[Entry], options: BuildOptions, timeout: float, labour: Labour = work) -> bytes:
    """A chunk as bytes, on a worker of the cluster, which has one thread."""
    armed = -timeout

    def begin(_: int) -> None:
        nonlocal armed
        now = time.monotonic()
        if now - armed > timeout / 4:  # a new alarm for each entry would cost a tenth
            # An alarm that a thread held in C cannot delay; it ends the process.
            faulthandler.dump_traceback_later(timeout, exit=True)
            armed = now

    try:
        return labour(entries, options, {}, begin).to_bytes()
    finally:
        faulthandler.cancel_dump_traceback_later()
