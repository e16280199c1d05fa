"""Worker processes that may die or hang on one crystal without taking the rest with them."""

from __future__ import annotations

import multiprocessing
import resource
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from ctypes import c_int64
from multiprocessing.connection import Connection, wait
from typing import Any

from ..interrupts import started_worker
from ..sources import Entry
from ..symmetry import KNOWN, Answer
from .options import BuildOptions
from .work import Shard, work

# moyopy 0.21 can ask for all memory there is; a worker that does dies, and one entry with it.
_MEMORY = 8 << 30
_POLL = 0.5  # s
_CHANCES = 2  # for an entry on which a worker dies
_STARTS = 5  # for a worker that dies before its first entry

Task = tuple[int, Sequence[Entry]]
Labour = Callable[[Sequence[Entry], BuildOptions, Mapping[int, str], Callable[[int], None]], Shard]


def run(
    tasks: Iterator[Task], options: BuildOptions, workers: int, timeout: float, labour: Labour = work
) -> Generator[tuple[int, bytes], None, None]:
    """(index, shard as bytes) of every task, in the order in which they are finished.

    With 0 workers the work is done in this process, without protection. An entry on which a worker dies twice, or
    twice takes longer than `timeout` seconds, is rejected with that reason, and the rest of its chunk is done again.
    Once may be chance: somebody else's kill, a machine out of memory.
    """
    if workers <= 0:
        for index, entries in tasks:
            yield index, labour(entries, options, {}, lambda _: None).to_bytes()
        return
    pool: list[_Worker] = []
    try:
        for _ in range(workers):
            pool.append(_Worker(options, timeout, labour))
        for worker in pool:
            worker.give(next(tasks, None))
        ahead: deque[Task] = deque()
        while busy := [worker for worker in pool if worker.task]:
            # Chunks are made while the workers work, so that one that is done need not wait for its next.
            while len(ahead) < workers and (task := next(tasks, None)):
                ahead.append(task)
            wait([w for worker in busy for w in (worker.connection, worker.sentinel)], _POLL)
            for worker in busy:
                done = worker.collect()
                if done:
                    index, shard, answers = done
                    for other in pool:
                        if other is not worker:
                            other.news.extend(answers)
                    worker.give(ahead.popleft() if ahead else next(tasks, None))
                    yield index, shard
    finally:
        for worker in pool:
            worker.stop()


class _Worker:
    """One process and what it is working on."""

    def __init__(self, options: BuildOptions, timeout: float, labour: Labour) -> None:
        self._options = options
        self._labour = labour
        self._timeout = timeout
        self.task: Task | None = None
        self.news: deque[Answer] = deque(maxlen=KNOWN.room)
        """What other workers have found, to be told with the next task."""
        self._quarantine: dict[int, str] = {}
        self._deaths: Counter[int] = Counter()
        self._seen = (-1, 0.0)
        self._start()

    def _start(self) -> None:
        self._current: Any = multiprocessing.get_context("spawn").RawValue(c_int64, -1)
        self._process, self.connection = started_worker(_serve, self._labour, self._options, self._current)
        self.sentinel = self._process.sentinel

    def give(self, task: Task | None) -> None:
        """Begin a task; None when there is no more."""
        self.task = task
        self._quarantine = {}
        self._deaths.clear()
        if task:
            self._send()

    def _send(self) -> None:
        assert self.task
        self._seen = (-1, time.monotonic())
        self._current.value = -1
        with suppress(BrokenPipeError, ConnectionResetError):  # dead already: `collect` sees it
            self.connection.send((self.task[1], self._quarantine, list(self.news)))
        self.news.clear()

    def collect(self) -> tuple[int, bytes, list[Answer]] | None:
        """The finished task and what was found on the way, if it is.

        A process that is dead or hangs is replaced, and the rest of its task redone.
        """
        assert self.task
        try:
            if self.connection.poll():
                return self.task[0], *self.connection.recv()
        except (EOFError, ConnectionResetError):
            self._process.join(1)
        if not self._process.is_alive():
            self._replace(f"the worker process died on this entry, twice ({_cause(self._process.exitcode)})")
        elif self._hangs():
            self._replace(f"not finished within {self._timeout:g} s, twice")
        return None

    def _hangs(self) -> bool:
        now, current = time.monotonic(), int(self._current.value)
        if current != self._seen[0]:
            self._seen = (current, now)
        # Before the first entry the process is still importing.
        return current >= 0 and now - self._seen[1] > self._timeout

    def _replace(self, reason: str) -> None:
        current = int(self._current.value)
        self.stop()
        self._deaths[current] += 1
        # A process that dies before its first entry is no entry's fault, but must not be started for ever.
        if self._deaths[current] == (_CHANCES if current >= 0 else _STARTS):
            self._quarantine[max(current, 0)] = reason
        self._start()
        self._send()

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self.connection.close()


def _cause(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        with suppress(ValueError):
            return signal.Signals(-exitcode).name
    return f"exit code {exitcode}"


def _serve(connection: Connection, labour: Labour, options: BuildOptions, current: Any) -> None:
    """Body of a worker: chunks in, shards out, until the pipe closes."""
    with suppress(ValueError, OSError):
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limit = _MEMORY if hard == resource.RLIM_INFINITY else min(_MEMORY, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))

    def begin(i: int) -> None:
        current.value = i

    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            entries, quarantine, answers = connection.recv()
            KNOWN.learn(answers)
            shard = labour(entries, options, quarantine, begin).to_bytes()
            connection.send((shard, KNOWN.news()))
