"""Chunks of work on a dask.distributed cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from ..errors import RealizationError

Item = TypeVar("Item")
Result = TypeVar("Result")

_PATIENCE = 30  # s for the scheduler to answer
_SCHEMES = ("tcp", "tls", "ucx", "ws", "wss", "inproc")
_AHEAD = 3  # chunks on their way for each thread of the cluster


def on_cluster(
    work: Callable[[list[Item]], Result], chunks: Iterator[list[Item]], address: str
) -> Iterator[tuple[list[Item], Result | str]]:
    """(chunk, result) of every chunk as it is finished. RealizationError if there is no scheduler.

    dask gives a chunk up when the workers that hold it keep dying. Its items are then tried one by one, and of one
    that fails alone the result is the reason, in words.
    """
    try:
        from distributed import Client, KilledWorker, as_completed
    except ImportError:
        raise RealizationError("--scheduler needs dask.distributed: pip install 'wyckoffkit[distributed]'") from None
    if address.partition("://")[0] not in _SCHEMES:
        raise RealizationError(f"{address!r} is not a scheduler's address: write tcp://host:8786")
    try:
        client = Client(address, timeout=f"{_PATIENCE}s", set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise RealizationError(f"no dask scheduler answers at {address}: {error}") from None
    with client:
        waiting: dict[Any, list[Item]] = {}
        finished = as_completed(loop=client.loop)

        def submit(chunk: list[Item]) -> None:
            future = client.submit(work, chunk, pure=False)
            waiting[future] = chunk
            finished.add(future)

        while True:
            while len(waiting) < _AHEAD * max(1, sum(client.nthreads().values())) and (chunk := next(chunks, [])):
                submit(chunk)
            if not waiting:
                return
            future = next(finished)
            chunk = waiting.pop(future)
            try:
                yield chunk, future.result()
            except KilledWorker:
                if len(chunk) == 1:
                    yield chunk, "the workers of the cluster died on it"
                else:
                    for item in chunk:
                        submit([item])
