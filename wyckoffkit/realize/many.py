"""Many labels into one folder: a row for every trial, structures as files, and a restart that does only the rest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass
from functools import cache, partial
from itertools import islice
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import RealizationError
from ..files import replacing
from ..interrupts import starting_workers
from ..label import format_label, parse_label
from ..protostructure import Protostructure
from .cluster import on_cluster
from .engine import realize_batch
from .files import FORMATS, format_extxyz
from .record import Record, Row, read_rows
from .second import DEFAULT_TIMEOUT, PyxtalEngine
from .trial import ACCEPTED, NOT_BUILT, SYMPREC, Realization, Trial, UnrealizedError

KIND = "trials"
RECORD_NAME = "trials.jsonl"
STRUCTURES_NAME = "realized.xyz"

ENGINES = ("wyckoffkit", "pyxtal", "both")

# Labels that are worked on side by side, and that one task of a worker process holds; PyXtal takes them one by one.
_CHUNK = 256
_SMALL_CHUNK = 16
# File names on common systems hold 255 bytes.
_LONGEST_STEM = 180


@dataclass(frozen=True, slots=True)
class RealizeOptions:
    """How labels are realized. Raises RealizationError for options that cannot be."""

    seed: int = 0
    copies: int = 1
    """Crystals of each label."""
    engine: str = "wyckoffkit"
    """wyckoffkit, pyxtal, or both: PyXtal where our own finds none."""
    trials: int | None = None
    """At most this many; None: by the number of free parameters."""
    symprec: float = SYMPREC
    """Å, at which the group is found again."""
    timeout: float = DEFAULT_TIMEOUT
    """Seconds for a trial of PyXtal's."""

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise RealizationError(f"the engines are {', '.join(ENGINES)}, got {self.engine!r}")
        if self.copies < 1 or (self.trials is not None and self.trials < 1):
            raise RealizationError(f"copies and trials are 1 or more, got {self.copies} and {self.trials}")
        if not (self.symprec > 0 and self.timeout > 0):
            raise RealizationError(f"symprec and timeout are above 0, got {self.symprec} and {self.timeout}")


def generator_for(seed: int, label: str, copy: int = 0) -> np.random.Generator:
    """Randomness that depends on nothing but these three, so that neither order nor parallel work changes a crystal."""
    digest = hashlib.blake2b(label.encode(), digest_size=16).digest()
    words = [*_words(seed), *_words(copy), *np.frombuffer(digest, "<u4").tolist()]
    return np.random.default_rng(np.array(words, np.uint32))  # as from a list of these, but quicker


def _words(number: int) -> list[int]:
    """In base 2^32, the lowest first."""
    return [number] if number < 1 << 32 else [number % (1 << 32), *_words(number >> 32)]


def realize_one(protostructure: Protostructure, copy: int, options: RealizeOptions) -> list[Row]:
    """A row for each trial; the last one carries the crystal, if one was found."""
    return realize_rows([(protostructure, copy)], options)[0]


def realize_rows(tasks: Sequence[tuple[Protostructure, int]], options: RealizeOptions) -> list[list[Row]]:
    """The rows of `realize_one` for many labels (and copies), which are worked on side by side."""
    generators = [generator_for(options.seed, format_label(protostructure), copy) for protostructure, copy in tasks]
    rows: list[list[Row]] = [[] for _ in tasks]
    if options.engine != "pyxtal":
        protostructures = [protostructure for protostructure, _ in tasks]
        made = realize_batch(protostructures, generators, trials=options.trials, symprec=options.symprec)
        for task, own, found in zip(tasks, rows, made, strict=True):
            _add_rows(own, task, "wyckoffkit", found)
    if options.engine != "wyckoffkit":
        for task, generator, own in zip(tasks, generators, rows, strict=True):
            if not own or own[-1]["outcome"] != ACCEPTED:
                _add_rows(own, task, "pyxtal", _second_try(task[0], generator, options))
    for own in rows:
        own[-1]["last"] = True
    return rows


def _add_rows(
    rows: list[Row], task: tuple[Protostructure, int], engine: str, found: Realization | UnrealizedError
) -> None:
    label, copy = format_label(task[0]), task[1]
    for trial in found.trials:
        rows.append({"label": label, "copy": copy, "trial": len(rows) + 1, "engine": engine, **asdict(trial)})
    if isinstance(found, Realization):
        rows[-1] |= _crystal_fields(found)


def _second_try(
    protostructure: Protostructure, generator: np.random.Generator, options: RealizeOptions
) -> Realization | UnrealizedError:
    try:
        engine = _second(options.timeout)
        return engine.realize(protostructure, generator, trials=options.trials, symprec=options.symprec)
    except UnrealizedError as error:
        return error


@cache
def _second(timeout: float) -> PyxtalEngine:
    """One worker a process, for as long as the process lives; being a daemon, it ends with it."""
    return PyxtalEngine(timeout)


def _crystal_fields(realization: Realization) -> Row:
    return {
        "contact": round(realization.contact, 4),
        "lattice": realization.lattice.tolist(),
        "parameters": realization.parameters.tolist(),
    }


def realization_of(row: Row) -> Realization:
    """The crystal in an accepted row."""
    trial = Trial(row["outcome"], row["reason"])
    lattice, parameters = np.array(row["lattice"], np.float64), np.array(row["parameters"], np.float64)
    return Realization(parse_label(row["label"]), lattice, parameters, (trial,), row["contact"])


def realize_many(
    protostructures: Iterable[Protostructure],
    folder: Path,
    options: RealizeOptions,
    *,
    formats: Sequence[str] = ("cif",),
    jobs: int = 1,
    scheduler: str | None = None,
) -> Iterator[list[Row]]:
    """The rows of each label (and copy) as they are done, those of an earlier run first.

    Writes `trials.jsonl`, a folder for each format, and at the end `realized.xyz`. A label that comes twice is done
    once. Work is spread over `jobs` processes, or over the dask cluster whose scheduler has this
    address.
    """
    for name in formats:
        if name not in FORMATS:
            raise RealizationError(f"{name!r} is not a format: there are {', '.join(FORMATS)}")
    with Record(folder / RECORD_NAME, KIND, asdict(options)) as record:
        done: set[tuple[str, int]] = set()
        for row in record.done:
            if row.get("last"):
                done.add((row["label"], row["copy"]))
                _write_missing(row, folder, formats)
                yield [row]
        tasks = _new_tasks(protostructures, options.copies, done)
        spread = _on_cluster(tasks, options, scheduler) if scheduler else _spread(tasks, options, jobs)
        for rows in spread:
            _write_missing(rows[-1], folder, formats)
            record.append(rows)
            yield rows
    _write_all(folder)


def _new_tasks(
    protostructures: Iterable[Protostructure], copies: int, done: set[tuple[str, int]]
) -> Iterator[tuple[Protostructure, int]]:
    for protostructure in protostructures:
        label = format_label(protostructure)
        for copy in range(copies):
            if (label, copy) not in done:
                done.add((label, copy))
                yield protostructure, copy


def _chunks(
    tasks: Iterator[tuple[Protostructure, int]], options: RealizeOptions
) -> Iterator[list[tuple[Protostructure, int]]]:
    size = _CHUNK if options.engine == "wyckoffkit" else _SMALL_CHUNK
    return iter(lambda: list(islice(tasks, size)), [])


def _on_cluster(
    tasks: Iterator[tuple[Protostructure, int]], options: RealizeOptions, scheduler: str
) -> Iterator[list[Row]]:
    for chunk, found in on_cluster(partial(realize_rows, options=options), _chunks(tasks, options), scheduler):
        if isinstance(found, str):
            trial = {"trial": 1, "engine": options.engine, **asdict(Trial(NOT_BUILT, found)), "last": True}
            found = [[{"label": format_label(p), "copy": copy, **trial}] for p, copy in chunk]
        yield from found


def _spread(tasks: Iterator[tuple[Protostructure, int]], options: RealizeOptions, jobs: int) -> Iterator[list[Row]]:
    if jobs <= 1:
        for chunk in _chunks(tasks, options):
            yield from realize_rows(chunk, options)
        return
    chunks = _chunks(tasks, options)
    others = set(active_children())
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))
    running: set[Future[list[list[Row]]]] = set()
    try:
        while True:
            # A few chunks ahead, so that no process waits, and labels are read no faster than they are used.
            while len(running) < 4 * jobs and (chunk := next(chunks, [])):
                with starting_workers():  # `submit` does, when it is called first
                    running.add(pool.submit(realize_rows, chunk, options))
            if not running:
                pool.shutdown()
                return
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                yield from future.result()
    finally:
        # Where the work ends before its time, chunks that have begun would be waited for.
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(active_children()) - others:
            process.kill()


def file_stem(label: str, copy: int) -> str:
    """A file name for a crystal of a label: without the colon, and not too long."""
    stem = label.replace(":", "_")
    if len(stem) > _LONGEST_STEM:
        stem = stem[:_LONGEST_STEM] + "-" + hashlib.blake2b(label.encode(), digest_size=6).hexdigest()
    return f"{stem}.{copy + 1}" if copy else stem


def _write_missing(row: Row, folder: Path, formats: Sequence[str]) -> None:
    """The files of an accepted row; those that an earlier run wrote are left alone."""
    if row["outcome"] != ACCEPTED:
        return
    for name in formats:
        suffix, write = FORMATS[name]
        path = folder / name / (file_stem(row["label"], row["copy"]) + suffix)
        if not path.exists():
            with replacing(path, on_disk=False) as temporary:
                temporary.write_text(write(realization_of(row)), encoding="utf-8")


def read_realized(folder: Path) -> Iterator[tuple[str, int, Realization]]:
    """(label, copy, crystal) of every label that was realized in a folder."""
    _, rows = read_rows(folder / RECORD_NAME, KIND)
    for row in rows:
        if row["outcome"] == ACCEPTED:
            yield row["label"], row["copy"], realization_of(row)


def _write_all(folder: Path) -> None:
    with replacing(folder / STRUCTURES_NAME) as temporary, open(temporary, "w", encoding="utf-8") as file:
        for label, copy, realization in read_realized(folder):
            info: dict[str, Any] = {"label": label, "copy": copy, "contact": realization.contact}
            file.write(format_extxyz(realization.crystal, info))
