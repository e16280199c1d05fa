"""Chunks of labels on a dask.distributed cluster: one that its workers die on is tried label by label."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TypeVar

from ..cluster import scattered

Item = TypeVar("Item")
Result = TypeVar("Result")


def on_cluster(
    work: Callable[[list[Item]], Result], chunks: Iterator[list[Item]], address: str
) -> Iterator[tuple[list[Item], Result | str]]:
    """(chunk, result) of every chunk as it is finished. WyckoffkitError if there is no scheduler.

    Of an item on which workers die alone the result is the reason, in words.
    """
    again: deque[list[Item]] = deque()
    for chunk, result in scattered(work, lambda: again.popleft() if again else next(chunks, None), address):
        if result is not None:
            yield chunk, result
        elif len(chunk) == 1:
            yield chunk, "the workers of the cluster died on it"
        else:
            again.extend([item] for item in chunk)
