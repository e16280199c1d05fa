"""Worker processes that may die or hang on one label without taking the others with them.

A worker sends a sign of life with every evaluation. One that is silent for too long is killed; if it held one label,
that label's row says so, and of several each is done again alone, so that none is blamed for another.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait

from ..interrupts import started_worker
from ..label import format_label
from ..protostructure import Protostructure
from ..realize.record import Row
from .calculators import Calculator
from .lockstep import relax_together
from .outcome import FAILED, MODES
from .search import RelaxOptions, relax_label

_POLL = 0.5  # s
# A relaxation that ends by itself at its timeout is given this much longer before its process is killed.
_GRACE = 10.0  # s
_PATIENCE = 5.0  # s

Load = Callable[[str], Calculator]
Reply = Row | str
_ALIVE = "alive"


def supervised(
    labels: Iterator[Protostructure], calculator: str, options: RelaxOptions, *, load: Load, jobs: int, batch: int
) -> Iterator[Row]:
    """The row of each label, in the order in which they are done, from `jobs` processes of `batch` labels at a time.

    A process that says nothing for the timeout of a relaxation and ten seconds is killed.
    """
    pool: list[_Worker] = []
    suspects: deque[Protostructure] = deque()
    try:
        for _ in range(jobs):
            pool.append(_Worker(calculator, options, load, batch))
        while True:
            for worker in pool:
                worker.fill(labels, suspects)
            busy = [worker for worker in pool if worker.held]
            if not busy:
                return
            wait([c for worker in busy for c in (worker.connection, worker.sentinel)], _POLL)
            for worker in busy:
                yield from worker.rows()
                yield from worker.buried(suspects)
    finally:
        for worker in pool:
            worker.stop()


class _Worker:
    """A process and the labels that it holds."""

    def __init__(self, calculator: str, options: RelaxOptions, load: Load, batch: int) -> None:
        self._arguments = (calculator, options, load, batch)
        self._batch = batch
        self._timeout = options.stage.timeout
        self.held: dict[str, Protostructure] = {}
        self._alone = False
        self._start()

    def _start(self) -> None:
        self._process, self.connection = started_worker(_serve, *self._arguments)
        self.sentinel = self._process.sentinel
        self._heard: float | None = None  # nothing before it has imported everything and loaded the model

    def fill(self, labels: Iterator[Protostructure], suspects: deque[Protostructure]) -> None:
        """Give it as many labels as it takes, a suspect alone."""
        if self._alone and self.held:
            return
        self._alone = bool(suspects) and not self.held
        if self._alone:
            self._give(suspects.popleft())
        while not suspects and not self._alone and len(self.held) < self._batch:
            protostructure = next(labels, None)
            if protostructure is None:
                return
            self._give(protostructure)

    def _give(self, protostructure: Protostructure) -> None:
        self.held[format_label(protostructure)] = protostructure
        with suppress(BrokenPipeError, ConnectionResetError):  # dead already: `buried` sees it
            self.connection.send(protostructure)

    def rows(self) -> Iterator[Row]:
        """What it has sent."""
        with suppress(EOFError, ConnectionResetError):
            while self.connection.poll():
                reply: Reply = self.connection.recv()
                self._heard = time.monotonic()
                if not isinstance(reply, str):
                    self.held.pop(reply["label"])
                    yield reply

    def buried(self, suspects: deque[Protostructure]) -> Iterator[Row]:
        """If it is dead or silent, the row of the one label it held, or all of them among the suspects."""
        silent = self._heard is not None and time.monotonic() - self._heard > self._timeout + _GRACE
        if self._process.is_alive() and not silent:
            return
        self._process.join(0 if silent else 1)
        died = f"its process died (exit code {self._process.exitcode})"
        reason = f"killed: no step ended within {self._timeout + _GRACE:g} s" if silent else died
        self.stop(0.0)
        held, self.held = list(self.held.items()), {}
        self._start()
        if len(held) == 1:
            yield {"label": held[0][0], "outcome": FAILED, "reason": reason}
        else:
            suspects.extend(protostructure for _, protostructure in held)

    def stop(self, patience: float = _PATIENCE) -> None:
        """End the process: an idle one ends by itself when the pipe closes, so it is given some seconds for that."""
        self.connection.close()
        self._process.join(patience if not self.held else 0.0)
        self._process.kill()
        self._process.join()


def _serve(connection: Connection, calculator: str, options: RelaxOptions, load: Load, batch: int) -> None:
    """Body of a worker: labels in, rows and signs of life out, until the pipe closes."""

    def more(idle: bool) -> Protostructure | None:
        if not idle and not connection.poll():
            return None
        found: Protostructure = connection.recv()
        connection.send(_ALIVE)
        return found

    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        loaded = load(calculator)
        one_thread()
        connection.send(_ALIVE)
        for row in rows_of(more, loaded, options, batch):
            connection.send(_ALIVE if row is None else row)


def rows_of(
    more: Callable[[bool], Protostructure | None], calculator: Calculator, options: RelaxOptions, batch: int
) -> Iterator[Row | None]:
    """The row of each label that `more` gives (see `relax_together`), side by side where the optimizer can."""
    if options.stage.optimizer == MODES:
        yield from relax_together(more, calculator, options, batch)
        return
    while (protostructure := more(True)) is not None:
        yield relax_label(protostructure, calculator, options)


def one_thread() -> None:
    """One thread a process, as the processes themselves fill the machine; to be called when models are loaded."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
