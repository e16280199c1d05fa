"""Tasks spread over a dask.distributed cluster."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeVar

from .errors import WyckoffkitError

Task = TypeVar("Task")
Result = TypeVar("Result")

_PATIENCE = 30  # s for the scheduler to answer
_SCHEMES = ("tcp", "tls", "ucx", "ws", "wss", "inproc")
_AHEAD = 3  # tasks on their way for each thread of the cluster


def scattered(
    work: Callable[[Task], Result], take: Callable[[], Task | None], address: str
) -> Generator[tuple[Task, Result | None], None, None]:
    """(task, result) of every task as it is finished; None where the workers that hold it keep dying.

    `take` gives the next task, or None where there is none for now: whoever hears of a task that failed may have
    others come in its place. WyckoffkitError if there is no scheduler at the address, or no dask.
    """
    try:
        from distributed import Client, KilledWorker, as_completed
    except ImportError:
        raise WyckoffkitError("--scheduler needs dask.distributed: pip install 'wyckoffkit[distributed]'") from None
    if address.partition("://")[0] not in _SCHEMES:
        raise WyckoffkitError(f"{address!r} is not a scheduler's address: write tcp://host:8786")
    try:
        client = Client(address, timeout=f"{_PATIENCE}s", set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise WyckoffkitError(f"no dask scheduler answers at {address}: {error}") from None
    with client:
        waiting: dict[Any, Task] = {}
        finished = as_completed(loop=client.loop)
        while True:
            while len(waiting) < _AHEAD * max(1, sum(client.nthreads().values())) and (task := take()) is not None:
                future = client.submit(work, task, pure=False)
                waiting[future] = task
                finished.add(future)
            if not waiting:
                return
            future = next(finished)
            task = waiting.pop(future)
            try:
                result: Result | None = future.result()
            except KilledWorker:
                result = None
            yield task, result
