"""Work in blocks, dealt to the processes of torchrun in turn and handed to all of them in order."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.distributed as dist

from wyckoffkit import WyckoffkitError

from ..train.processes import rank, world_size


def in_turn(work: Callable[[int], Any]) -> Iterator[Any]:
    """work(0), work(1), … without end; each is done by one process, and all get it (as JSON has it).

    An error of one process is raised by all, so that none waits for ever.
    """
    n, block = world_size(), 0
    while True:
        if n == 1:
            yield work(block)
        else:
            yield from exchanged(_attempt(lambda: work(block + rank())))  # noqa: B023 (called at once)
        block += n


def from_first_process(work: Callable[[], Any]) -> Any:
    """What the first process found, or its error."""
    if world_size() == 1:
        return work()
    return exchanged(_attempt(work) if rank() == 0 else {})[0]


def _attempt(work: Callable[[], Any]) -> dict[str, Any]:
    try:
        return {"result": work()}
    except WyckoffkitError as error:
        return {"error": str(error)}


def exchanged(mine: dict[str, Any]) -> list[Any]:
    """The result of every process, by rank; text crosses as bytes, never as a pickle."""
    data = torch.frombuffer(bytearray(json.dumps(mine).encode()), dtype=torch.uint8)
    sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(world_size())]
    dist.all_gather(sizes, torch.tensor([len(data)]))
    longest = int(max(sizes))
    padded = torch.zeros(longest, dtype=torch.uint8)
    padded[: len(data)] = data
    parts = [torch.zeros(longest, dtype=torch.uint8) for _ in sizes]
    dist.all_gather(parts, padded)
    found = []
    for part, size in zip(parts, sizes, strict=True):
        answer = json.loads(bytes(part[: int(size)].tolist()))
        if "error" in answer:
            raise WyckoffkitError(answer["error"])
        found.append(answer.get("result"))
    return found
