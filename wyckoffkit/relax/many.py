"""Many labels relaxed into one folder: a row for each, structures as extended XYZ, and a restart that does the rest."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from contextlib import nullcontext
from dataclasses import asdict
from functools import cache
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from ..label import format_label
from ..protostructure import Protostructure
from ..realize.files import format_extxyz
from ..realize.record import Record, Row, read_rows
from .calculators import DEFAULT_CALCULATOR, Calculator, calculator_named
from .search import RelaxOptions, crystal_in, relax_label
from .stage import CONVERGED

KIND = "relaxations"
RECORD_NAME = "relaxed.jsonl"
STRUCTURES_NAME = "relaxed.xyz"


@cache
def _calculator(name: str) -> Calculator:
    """One a process: loading a model takes seconds."""
    with warnings.catch_warnings():
        # Packages of calculators warn of their own dependencies on import.
        warnings.simplefilter("ignore")
        return calculator_named(name)


def _work(protostructure: Protostructure, calculator: str, options: RelaxOptions) -> Row:
    return relax_label(protostructure, _calculator(calculator), options)


def _begin_worker() -> None:
    """One thread a process: the processes themselves fill the machine."""
    import importlib.util

    if importlib.util.find_spec("torch") is not None:
        import torch

        torch.set_num_threads(1)


def relax_many(
    protostructures: Iterable[Protostructure],
    folder: Path,
    options: RelaxOptions,
    *,
    calculator: str = DEFAULT_CALCULATOR,
    jobs: int = 1,
    executor: Executor | None = None,
) -> Iterator[Row]:
    """The row of each label as it is done, those of an earlier run first; see `relax_label`.

    Writes `relaxed.jsonl`, and `relaxed.xyz` at the end. Raises RealizationError at once for a calculator that is not
    there. Work is spread over `jobs` processes, or given to an executor (a dask client's, say).
    """
    name = _calculator(calculator).name
    settings = {"calculator": name, **asdict(options)}
    with Record(folder / RECORD_NAME, KIND, settings) as record:
        done = {row["label"] for row in record.done}
        yield from record.done
        for row in _spread(_new(protostructures, done), calculator, options, jobs, executor):
            record.append([row])
            yield row
    _write_all(folder)


def _new(protostructures: Iterable[Protostructure], done: set[str]) -> Iterator[Protostructure]:
    for protostructure in protostructures:
        label = format_label(protostructure)
        if label not in done:
            done.add(label)
            yield protostructure


def _spread(
    protostructures: Iterator[Protostructure],
    calculator: str,
    options: RelaxOptions,
    jobs: int,
    executor: Executor | None,
) -> Iterator[Row]:
    if jobs <= 1 and executor is None:
        for protostructure in protostructures:
            yield _work(protostructure, calculator, options)
        return
    own = (
        nullcontext(executor)
        if executor
        else ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_begin_worker)
    )
    with own as pool:
        assert pool is not None
        running: set[Future[Row]] = set()
        while True:
            for protostructure in islice(protostructures, 4 * max(jobs, 1) - len(running)):
                running.add(pool.submit(_work, protostructure, calculator, options))
            if not running:
                return
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                yield future.result()


def read_relaxed(folder: Path) -> Iterator[Row]:
    """The rows of the labels that were relaxed in a folder (or in its record, named itself)."""
    path = folder / RECORD_NAME if folder.is_dir() else folder
    _, rows = read_rows(path, KIND)
    yield from (row for row in rows if row["outcome"] == CONVERGED)


def _write_all(folder: Path) -> None:
    path = folder / STRUCTURES_NAME
    part = path.with_name(path.name + ".part")
    with open(part, "w", encoding="utf-8") as file:
        for row in read_relaxed(folder):
            info: dict[str, Any] = {key: row[key] for key in ("label", "calculator", "label_free", "kept")}
            info["energy"] = row["energy_free"] * len(row["numbers"])
            file.write(format_extxyz(crystal_in(row), info))
    part.replace(path)
