"""Sources into a dataset: chunks of entries, spread over processes, kept as shards, put together in order at the end.

A shard is named by its number and the digest of its chunk and options. A build that was killed is begun again by the
same command: the sources are read once more, and chunks whose shard is there are not computed again. So the final file
does not depend on the number of workers, nor on how often the build was interrupted.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..dataset import Rejected, write_dataset
from ..errors import DatasetError
from ..files import hold, replacing
from ..interrupts import uninterrupted
from ..sources import Entry, Source, count_rules
from .attach import PropertyTable, attach, read_properties
from .cluster import run_on_cluster
from .options import BuildOptions, Split
from .pool import Task, run
from .work import Shard, join

CHUNK_ENTRIES = 512
CHUNK_BYTES = 8 << 20


@dataclass(slots=True)
class Progress:
    """How far a build is; `done` counts entries, `bytes_read` those of the files on disk."""

    bytes_total: int = 0
    bytes_read: int = 0
    read: int = 0
    done: int = 0
    resumed: int = 0
    """Entries whose shards an earlier run had left."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a build has done."""

    output: Path
    n_written: int
    n_rejected: int
    n_noted: int
    rejected: Rejected
    problems: tuple[str, ...]
    """Files that could not be read, or not to the end."""
    n_repeated: int = 0
    """Rows whose name has come before; they are written."""


def build_dataset(
    paths: Sequence[str | Path],
    output: str | Path,
    *,
    options: BuildOptions | None = None,
    split: Split | None = None,
    workers: int = 0,
    timeout: float = 60.0,
    scheduler: str | None = None,
    properties: str | Path | None = None,
    licence: str = "",
    progress: Callable[[Progress], None] | None = None,
) -> Outcome:
    """Read all sources and write one dataset, ordered as they are, whatever the number of workers.

    Entries that hold no material, and files that cannot be read to their end, are in the outcome and in the file; the
    good rows are written. Raises DatasetError where no source can be read at all, or the output cannot be written.
    `workers` processes do the work, 0: this one, or the dask cluster whose `scheduler` is named; `timeout` in seconds
    for one entry, in worker processes. `properties` is a CSV of more properties, joined by material id.
    """
    output = Path(output)
    table = read_properties(Path(properties)) if properties else None
    state = _Build(options or BuildOptions(), progress or (lambda _: None))
    sources = state.open(paths, output)
    with _shard_folder(output) as folder:
        tasks = state.tasks(sources, folder)
        if scheduler:
            done = run_on_cluster(tasks, state.options, scheduler, timeout)
        else:
            done = run(tasks, state.options, workers, timeout)
        with closing(done):
            for index, shard in done:
                state.keep(folder, index, shard)
        return _assemble(output, state, folder, sources, table, split or Split(), licence)


@dataclass(slots=True)
class _Build:
    """The state of one run."""

    options: BuildOptions
    tell: Callable[[Progress], None]
    progress: Progress = field(default_factory=Progress)
    problems: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    """File name of each shard."""
    lengths: list[int] = field(default_factory=list)

    def open(self, paths: Sequence[str | Path], output: Path) -> list[Source]:
        sources = []
        realign = "misaligned" in self.options.clean
        for path in map(Path, paths):
            if output.exists() and path.exists() and output.samefile(path):
                raise DatasetError(f"{output}: the output is one of the sources")
            try:
                sources.append(Source(path, self.options.structure, realign=realign, except_for=output))
            except DatasetError as error:
                self.problems.append(str(error))
        if not sources:
            raise DatasetError("\n".join(self.problems) or "no sources were given")
        self.progress.bytes_total = sum(source.stream.size for source in sources)
        return sources

    def tasks(self, sources: Sequence[Source], folder: Path) -> Iterator[Task]:
        """Chunks that no shard is there for."""
        identity = json.dumps(self.options.identity(), sort_keys=True).encode()
        for index, chunk in enumerate(_chunks(self._entries(sources))):
            digest = _digest(identity, chunk)
            self.names.append(f"{index:06d}-{digest}.npz")
            self.lengths.append(len(chunk))
            if (folder / self.names[index]).exists():
                self.progress.resumed += len(chunk)
                self._finished(index)
            else:
                yield index, chunk

    def _entries(self, sources: Sequence[Source]) -> Iterator[Entry]:
        before = 0
        for source in sources:
            try:
                for entry in source.entries():
                    self.progress.read += 1
                    self.progress.bytes_read = before + source.stream.position
                    yield entry
            except DatasetError as error:
                self.problems.append(str(error))
            before += source.stream.size

    def keep(self, folder: Path, index: int, shard: bytes) -> None:
        """Write a shard; it gets its name when it is complete."""
        path = folder / self.names[index]
        try:
            with replacing(path, on_disk=False) as temporary:
                temporary.write_bytes(shard)
        except OSError as error:
            raise DatasetError(f"{path}: cannot be written: {(error.strerror or str(error)).lower()}") from None
        self._finished(index)

    def _finished(self, index: int) -> None:
        self.progress.done += self.lengths[index]
        self.tell(self.progress)


def _chunks(entries: Iterator[Entry]) -> Iterator[list[Entry]]:
    chunk: list[Entry] = []
    size = 0
    for entry in entries:
        chunk.append(entry)
        size += len(entry.text)
        if len(chunk) == CHUNK_ENTRIES or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _digest(identity: bytes, chunk: Sequence[Entry]) -> str:
    sha = hashlib.blake2b(identity, digest_size=12)
    for entry in chunk:
        head = repr((entry.material_id, entry.place, entry.kind, sorted(entry.properties.items()), len(entry.text)))
        sha.update(head.encode("utf-8", "replace"))
        sha.update(entry.text)
    return sha.hexdigest()


@contextmanager
def _shard_folder(output: Path) -> Iterator[Path]:
    """`OUTPUT.partial` beside the output, held by one process; it stays where a build does not come to its end."""
    folder = output.with_name(f"{output.name}.partial")
    try:
        folder.mkdir(exist_ok=True)
        lock = open(folder / "lock", "w")  # noqa: SIM115  # held while the build runs
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be made: {(error.strerror or str(error)).lower()}") from None
    with lock:
        hold(lock, output)
        yield folder
        with uninterrupted():  # half of the shards are of no use
            shutil.rmtree(folder)


def _assemble(
    output: Path,
    state: _Build,
    folder: Path,
    sources: Sequence[Source],
    table: PropertyTable | None,
    split: Split,
    licence: str,
) -> Outcome:
    shard = join([_read_shard(folder / name) for name in state.names])
    if table:
        shard = attach(shard, table, state.options.clean)
    rejected = Rejected(
        *(tuple(t.decode() for t in shard.texts[f"rejected_{k}"].tolist()) for k in ("id", "place", "reason"))
    )
    options = state.options
    attributes: dict[str, Any] = {
        "n_from_structures": shard.from_structures,
        "cleaning": json.dumps(count_rules(options.clean, rejected.reason)),
        "licence": licence,
        "split_rule": split.rule(),
        "sources": json.dumps([*map(_papers, sources), *([table.source()] if table else [])]),
        "problems": json.dumps(state.problems),
    }
    if shard.from_structures:
        attributes |= {
            "engine": options.engine,
            "engine_version": options.identity()["engine_version"],
            "symprec": options.symprec,
            "angle_tolerance": np.nan if options.angle_tolerance is None else options.angle_tolerance,
            "structure": options.structure,
        }
    write_dataset(
        output,
        shard.columns,
        material_id=shard.texts["material_id"],
        label=shard.texts["label"],
        split=split.assign(shard.texts["material_id"]),
        properties=shard.properties,
        rejected=rejected,
        profile=options.profile,
        attributes=attributes,
    )
    return Outcome(
        output,
        len(shard.texts["material_id"]),
        len(rejected),
        shard.notes,
        rejected,
        tuple(state.problems),
        len(shard.columns) - len(np.unique(shard.texts["material_id"])),
    )


def _papers(source: Source) -> dict[str, Any]:
    stream = source.stream
    return {"name": source.path.name, "sha256": stream.sha256, "bytes": stream.size, "kind": source.kind}


def _read_shard(path: Path) -> Shard:
    try:
        return Shard.from_bytes(path.read_bytes())
    except DatasetError as error:
        path.unlink()
        raise DatasetError(f"{path}: {error}; it is removed, so build again") from None
