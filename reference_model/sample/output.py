"""Where samples go: a line at a time to standard output, or to a file that survives being interrupted.

A file grows as `.NAME.part` beside its destination, with `.NAME.part.json` saying how much of it is complete; it takes
its name when it is finished. The same command then continues where it was; another one is told so.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from wyckoffkit import WyckoffkitError, parse_label
from wyckoffkit.files import hold, replacing

from .draw import Sample

LABELS_A_BLOCK = 65_536
SUFFIXES = (".txt", ".csv", ".jsonl", ".h5")
FIELDS = ("sample", "label", "prototype", "novel", "novel_prototype")


def format_lines(samples: Iterable[Sample], suffix: str) -> str:
    """The samples as text in the form that a file of this suffix is made of (labels alone for .txt and .h5)."""
    if suffix in (".txt", ".h5"):
        return "".join(f"{s.label}\n" for s in samples)
    rows = [(s.number, s.label, s.prototype, s.novel, s.novel_prototype) for s in samples]
    if suffix == ".jsonl":
        return "".join(json.dumps(dict(zip(FIELDS, row, strict=True))) + "\n" for row in rows)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows((*row[:3], *map(int, row[3:])) for row in rows)
    return text.getvalue()


def check_destination(path: Path, *, force: bool = False) -> None:
    """Raise WyckoffkitError if the file exists and `force` is not given, or if its suffix is unknown."""
    if path.suffix not in SUFFIXES:
        raise WyckoffkitError(f"{path}: samples are written as {', '.join(SUFFIXES)}, by suffix")
    if path.exists() and not force:
        raise WyckoffkitError(f"{path} exists; give --force to replace it")


class LineWriter:
    """Labels to a stream as they come."""

    next_number, written = 0, 0
    counts: dict[str, int]

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.counts = {}

    def write(self, samples: list[Sample], counts: dict[str, int]) -> None:
        self.stream.write(format_lines(samples, ".txt"))
        self.stream.flush()

    def finish(self) -> None:
        """Nothing is left to do."""

    def close(self) -> None:
        """The stream belongs to the caller."""

    def labels(self) -> Iterable[str]:
        """None were written before."""
        return ()


@dataclass
class NoWriter:
    """Of a process that leaves writing to the first one, at whose place in the work it begins."""

    next_number: int
    written: int
    counts: dict[str, int]

    def write(self, samples: list[Sample], counts: dict[str, int]) -> None:
        """The first process has the same samples."""

    def finish(self) -> None:
        """Nothing was written."""

    def close(self) -> None:
        """Nothing is open."""

    def labels(self) -> Iterable[str]:
        """Those that are unique are counted by the first process."""
        return ()


class FileWriter:
    """A file that grows by blocks; `next_number`, `written` and `counts` tell what an interrupted command left.

    `arguments` are all that the samples depend on. Raises WyckoffkitError if the file exists and `force` is not given,
    if its suffix is unknown, or if the unfinished file came from other arguments.
    """

    def __init__(self, path: Path, arguments: dict[str, Any], *, force: bool = False) -> None:
        check_destination(path, force=force)
        self.path, self.arguments = path, arguments
        self.part = path.with_name(f".{path.name}.part")
        self.note = path.with_name(f".{path.name}.part.json")
        self.next_number, self.written = 0, 0
        self.counts: dict[str, int] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self.part, "a+", encoding="utf-8", newline="")  # noqa: SIM115 (closed by `close`)
        except OSError as error:
            raise WyckoffkitError(f"{path} cannot be written: {error.strerror}") from None
        hold(self._file, path)
        if self.note.exists():
            self._continue(force)
        else:
            self._begin()

    def _begin(self) -> None:
        self._file.truncate(0)
        if self.path.suffix == ".csv":
            self._file.write(",".join(FIELDS) + "\n")
            self._file.flush()

    def _continue(self, force: bool) -> None:
        try:
            note = json.loads(self.note.read_text(encoding="utf-8"))
            if note["arguments"] == self.arguments:
                self.next_number, self.written, self.counts = note["next"], note["written"], dict(note["counts"])
                self._file.truncate(note["bytes"])
                return
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            pass  # nothing to go on from
        if not force:
            self._file.close()
            raise WyckoffkitError(f"{self.part} is the unfinished work of another command; give --force to begin anew")
        self.note.unlink()
        self._begin()

    def write(self, samples: list[Sample], counts: dict[str, int]) -> None:
        """Append a block; `counts` come back after an interruption. An empty block is none."""
        self._file.write(format_lines(samples, self.path.suffix))
        self._file.flush()
        self.written += len(samples)
        if samples:
            self.next_number = samples[-1].number + 1
        self.counts = counts
        note = {
            "arguments": self.arguments,
            "next": self.next_number,
            "written": self.written,
            "counts": counts,
            "bytes": os.fstat(self._file.fileno()).st_size,
        }
        with replacing(self.note) as temporary:
            temporary.write_text(json.dumps(note), encoding="utf-8")

    def labels(self) -> Iterable[str]:
        """The labels written before the interruption."""
        if self.written == 0:
            return
        with open(self.part, encoding="utf-8", newline="") as file:
            if self.path.suffix == ".csv":
                yield from (row["label"] for row in csv.DictReader(file))
            elif self.path.suffix == ".jsonl":
                yield from (json.loads(line)["label"] for line in file)
            else:
                yield from (line.rstrip("\n") for line in file)

    def finish(self) -> None:
        """Give the file its name."""
        self._file.flush()
        os.fsync(self._file.fileno())
        if self.path.suffix == ".h5":
            self._write_dataset()
            self.part.unlink()
        else:
            os.replace(self.part, self.path)
        self.note.unlink(missing_ok=True)

    def _write_dataset(self) -> None:
        """In blocks, so that memory stays the same however many samples there are."""
        from wyckoffkit.dataset import write_spool
        from wyckoffkit.encoding import DEFAULT_N_ELEMENTS, to_columns
        from wyckoffkit.spool import ColumnSpool

        labels = iter(self.labels())
        with ColumnSpool(self.path.parent) as spool, replacing(self.path) as partial:
            while block := list(islice(labels, LABELS_A_BLOCK)):
                spool.append(to_columns(map(parse_label, block)), block)
            write_spool(
                partial,
                spool,
                n_elements=max(DEFAULT_N_ELEMENTS, spool.heaviest),
                profile=self.arguments["profile"],
                prefix="sample-",
                attributes={"sampling": json.dumps(self.arguments)},
            )

    def close(self) -> None:
        with suppress(OSError):
            self._file.close()


Writer = LineWriter | FileWriter | NoWriter
