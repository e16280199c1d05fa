"""Many searches side by side: each step evaluates one crystal of every search, all at once."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

from ..protostructure import Protostructure
from ..realize.record import Row
from ..symmetry.crystal import Crystal
from .calculators import Calculator
from .descent import descend
from .evaluate import evaluate
from .outcome import FAILED, Evaluation, Relaxed
from .search import RelaxOptions, search

Steps = Generator[Crystal, Evaluation | str, Row]


def _steps(protostructure: Protostructure, calculator: Calculator, options: RelaxOptions) -> Steps:
    """A search and its relaxations as one coroutine."""
    asking = search(protostructure, calculator, options)
    try:
        asked = next(asking)
        while True:
            try:
                made = yield from descend(asked.crystal, options.stage, fix_symmetry=asked.fix_symmetry)
            except Exception as error:  # numbers that no linear algebra can take, say; the others go on
                made = Relaxed(FAILED, f"{type(error).__name__}: {error}")
            asked = asking.send(made)
    except StopIteration as end:
        row: Row = end.value
        return row


def relax_together(
    more: Callable[[bool], Protostructure | None], calculator: Calculator, options: RelaxOptions, batch: int
) -> Iterator[Row | None]:
    """The row of each label as it is done, and None after each evaluation; see `relax_label`.

    `more` gives the next label, or None when there is none now; it is told whether nothing else is left to do.
    """
    running: list[tuple[Steps, Crystal]] = []
    while True:
        while len(running) < batch and (protostructure := more(not running)) is not None:
            steps = _steps(protostructure, calculator, options)
            yield from _advance(running, steps, None)
        if not running:
            return
        found = evaluate(calculator, [crystal for _, crystal in running])
        yield None
        before, running = running, []
        for (steps, _), answer in zip(before, found, strict=True):
            yield from _advance(running, steps, answer)


def _advance(running: list[tuple[Steps, Crystal]], steps: Steps, answer: Evaluation | str | None) -> Iterator[Row]:
    """Go on with a search: it asks for another crystal, or its row is done."""
    try:
        running.append((steps, next(steps) if answer is None else steps.send(answer)))
    except StopIteration as end:
        yield end.value
