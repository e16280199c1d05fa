"""The work of a build on a dask.distributed cluster: the same chunks, so the same file."""

from __future__ import annotations

import faulthandler
import time
from collections.abc import Generator, Iterator
from functools import partial

from ..cluster import scattered
from .options import BuildOptions
from .pool import Labour, Task, run
from .work import work


def run_on_cluster(
    tasks: Iterator[Task], options: BuildOptions, address: str, timeout: float
) -> Generator[tuple[int, bytes], None, None]:
    """(index, shard as bytes) of every task, as they are finished. WyckoffkitError if there is no scheduler.

    A worker that spends more than `timeout` seconds on one entry ends itself. dask gives a chunk up when the workers
    that hold it keep dying, whoever is to blame. Such a chunk is done here, by `pool.run`, which rejects the one entry.
    """
    labour = partial(_labour, options=options, timeout=timeout)
    for task, shard in scattered(labour, lambda: next(tasks, None), address):
        if shard is None:
            yield from run(iter([task]), options, 1, timeout)
        else:
            yield task[0], shard


def _labour(task: Task, options: BuildOptions, timeout: float, labour: Labour = work) -> bytes:
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
        return labour(task[1], options, {}, begin).to_bytes()
    finally:
        faulthandler.cancel_dump_traceback_later()
