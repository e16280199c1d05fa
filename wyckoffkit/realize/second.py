"""The second engine: PyXtal, in a worker process that is ended when it takes too long.

PyXtal's own verdict is not relied on: it may drop a site that does not fit its letter and call the crystal valid. What
it draws (cell and free parameters) is built and checked like the first engine's. Fredericks et al., Comput. Phys.
Commun. 261, 107810 (2021).
"""

from __future__ import annotations

import importlib.util
from contextlib import suppress
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RealizationError
from ..interrupts import started_worker
from ..label import format_label, parse_label
from ..protostructure import Protostructure
from .cells import standard_orientation
from .engine import most_trials, packing_of, why_not
from .orbits import occupied
from .trial import (
    ACCEPTED,
    COLLAPSES,
    LEAST_CONTACT,
    NOT_BUILT,
    OVERLAP,
    SYMPREC,
    TIMEOUT,
    Realization,
    Trial,
    UnrealizedError,
    grown,
    verdict,
)

DEFAULT_TIMEOUT = 20.0  # s
# Importing PyXtal takes a second or two; on a busy machine many times that.
_START_TIMEOUT = 120.0

Floats = NDArray[np.float64]


class PyxtalEngine:
    """Realizes protostructures through PyXtal; use it as a context, which ends the worker process.

    `timeout` is for one trial, in seconds. Raises RealizationError where PyXtal is not installed.
    """

    def __init__(self, timeout: float = DEFAULT_TIMEOUT) -> None:
        if importlib.util.find_spec("pyxtal") is None:
            raise RealizationError(
                "the second engine is PyXtal, which is not installed: pip install 'wyckoffkit[structures]'"
            )
        self._timeout = timeout
        self._process: Any = None
        self._connection: Connection | None = None

    def __enter__(self) -> PyxtalEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the worker process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def realize(
        self,
        protostructure: Protostructure,
        generator: np.random.Generator,
        *,
        trials: int | None = None,
        symprec: float = SYMPREC,
    ) -> Realization:
        """As `wyckoffkit.realize.realize`, through PyXtal."""
        made: list[Trial] = []
        # A trial of PyXtal's holds many draws of its own, and one that failed seldom succeeds later.
        for _ in range(min(most_trials(protostructure), 5) if trials is None else trials):
            drawn = self._draw(protostructure, int(generator.integers(1 << 62)))
            if isinstance(drawn, Trial):
                made.append(drawn)
                if drawn.outcome == TIMEOUT:
                    break
                continue
            lattice, parameters = drawn
            lattice, contact = grown(lattice, _contact(protostructure, lattice, parameters))
            trial = Trial(OVERLAP, f"PyXtal left a contact of {contact:.2f}, {LEAST_CONTACT} of radii are wanted")
            if contact >= LEAST_CONTACT:
                trial = verdict(protostructure, lattice, parameters, symprec)
            made.append(trial)
            if trial.outcome == ACCEPTED:
                return Realization(protostructure, lattice, parameters, tuple(made), contact)
            if trial.outcome == COLLAPSES:
                break
        raise UnrealizedError(why_not(protostructure, made), tuple(made))

    def _draw(self, protostructure: Protostructure, seed: int) -> tuple[Floats, Floats] | Trial:
        try:
            connection = self._started()
            connection.send((format_label(protostructure), seed))
            if not connection.poll(self._timeout):
                self.close()
                return Trial(TIMEOUT, f"PyXtal gave no answer within {self._timeout:g} s")
            answer = connection.recv()
        except (EOFError, ConnectionResetError, BrokenPipeError):
            self.close()
            return Trial(NOT_BUILT, "the process with PyXtal died")
        if isinstance(answer, str):
            return Trial(NOT_BUILT, answer)
        return parameters_of(protostructure, *answer)

    def _started(self) -> Connection:
        if self._connection is not None:
            return self._connection
        self._process, self._connection = started_worker(_serve)
        if not self._connection.poll(_START_TIMEOUT):
            self.close()
            raise RealizationError(f"PyXtal was not imported within {_START_TIMEOUT:g} s")
        self._connection.recv()
        return self._connection


def parameters_of(
    protostructure: Protostructure, lattice: list[list[float]], positions: list[list[float]]
) -> tuple[Floats, Floats]:
    """The cell (3, 3), turned, and the parameters (O, 3) that put each orbit's first site where PyXtal has it."""
    layout = occupied(protostructure.space_group.number, tuple(orbit.letter for orbit in protostructure.orbits))
    moves = np.array(positions, np.float64) - layout.sites.offsets[layout.first]
    parameters = (layout.projections @ moves[..., None])[..., 0] * layout.free % 1.0
    return standard_orientation(np.array(lattice, np.float64)), parameters


def _contact(protostructure: Protostructure, lattice: Floats, parameters: Floats) -> float:
    packing = packing_of(protostructure)
    return float(packing.contact(*packing.distances(lattice[None], parameters[None]))[0])


def _serve(connection: Connection) -> None:
    """Body of the worker: labels and seeds in, cells and positions (or a reason) out, until the pipe closes."""
    # Imports PyXtal, before the clock of the first trial starts.
    from .pyxtal_draw import draw

    connection.send("ready")
    with suppress(EOFError, BrokenPipeError):
        while True:
            label, seed = connection.recv()
            connection.send(draw(parse_label(label), np.random.default_rng(seed)))
