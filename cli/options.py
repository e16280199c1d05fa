"""Arguments and options that several commands share, and how labels travel: one a line, `-` is stdin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from wyckoffkit.errors import DatasetError, LabelError

if TYPE_CHECKING:
    from wyckoffkit.protostructure import Protostructure, Prototype

T = TypeVar("T")

LabelFile = Annotated[Path, typer.Argument(metavar="FILE", help="Labels, one a line; '-' is stdin.")]
LabelWords = Annotated[
    list[str],
    typer.Argument(metavar="LABEL|FILE…", help="Labels, files of labels, or '-' for stdin.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON, one object a line, for programs.")]
Profile = Annotated[
    str, typer.Option("--profile", help="Which relabelings count as the same: pymatgen, aviary-1.1.1 or affine.")
]

Engine = Annotated[str, typer.Option("--engine", help="Finds the symmetry: moyopy or spglib.")]
Symprec = Annotated[float, typer.Option("--symprec", help="Distance tolerance in Å.")]


Column = Annotated[
    str | None,
    typer.Option(
        "--column", help="Read a table (between commas, tabs or semicolons) and take the labels from this column."
    ),
]


def label_lines(path: Path, rejections: Rejections, column: str | None = None) -> Iterator[tuple[int, str]]:
    """(line number from 1, text) of each line that is not blank, or of a table's column; its broken rows are told."""
    from wyckoffkit.csvrows import csv_column
    from wyckoffkit.textlines import open_lines

    called = Path("<stdin>") if str(path) == "-" else path
    choose = partial(_numbered, called)
    if column is not None:
        choose = partial(csv_column, called, column, reject=rejections.reject)
    with open_lines(path) as lines:
        yield from choose(lines)


def _numbered(path: Path, lines: Iterator[str]) -> Iterator[tuple[int, str]]:
    """Raises DatasetError where the first line is the header of a table."""
    for number, line in enumerate(lines, start=1):
        text = line.rstrip("\r\n")
        if number == 1 and ":" not in text:
            _check_not_a_table(path, text)
        if text.strip():
            yield number, text


def _check_not_a_table(path: Path, first: str) -> None:
    from wyckoffkit.csvrows import columns_of

    columns = columns_of(first)
    if len(columns) > 1:
        raise DatasetError(
            f"{path}: a table with the columns {', '.join(columns)[:500]}, and no labels one a line; "
            "encode and validate take --column for tables"
        )


def protostructures(
    file: Path, rejections: Rejections, column: str | None = None
) -> Iterator[tuple[str, str, Protostructure]]:
    """(where, text, protostructure) of each label in a file or a table's column; the others are told."""
    name = "<stdin>" if str(file) == "-" else str(file)
    for number, text in label_lines(file, rejections, column):
        protostructure = rejections.parse(text, f"{name}:{number}")
        if protostructure is not None:
            yield f"{name}:{number}", text, protostructure


def label_words(words: list[str], rejections: Rejections, column: str | None = None) -> Iterator[tuple[str, str]]:
    """(where, label) of labels given as arguments, in files or, for '-', on stdin; with a column, in tables."""
    for word in words:
        if word == "-" or column is not None or (":" not in word and Path(word).exists() and not Path(word).is_dir()):
            for number, text in label_lines(Path(word), rejections, column):
                yield f"{'<stdin>' if word == '-' else word}:{number}", text
        else:
            yield "", word


@dataclass(slots=True)
class Rejections:
    """Counts what was rejected, tells of each at once, and ends the command with exit code 1 if there was any."""

    accepted: int = 0
    rejected: int = 0

    def parse(self, text: str, where: str) -> Protostructure | None:
        """The protostructure, or None for a label with an error, which is reported."""
        from wyckoffkit.label import parse_label

        return self._parsed(parse_label, text, where)

    def parse_any(self, text: str, where: str) -> Protostructure | Prototype | None:
        """As `parse`, and a text without ':' that could be one is a label without elements."""
        from wyckoffkit.label import parse_label, parse_prototype

        if ":" not in text and text.count("_") >= 3:
            return self._parsed(parse_prototype, text, where)
        return self._parsed(parse_label, text, where)

    def _parsed(self, parse: Callable[[str], T], text: str, where: str) -> T | None:
        try:
            found = parse(text)
        except LabelError as error:
            self.reject(where, error)
            return None
        self.accepted += 1
        return found

    def reject(self, where: str, error: Exception) -> None:
        """Report one rejected row."""
        self.rejected += 1
        typer.echo(f"{where}: {error}" if where else str(error), err=True)

    def take_back(self, where: str, error: Exception) -> None:
        """Report a row that was accepted, and cannot be used after all."""
        self.accepted -= 1
        self.reject(where, error)

    def finish(self, verb: str) -> None:
        """Sum up on stderr where anything was rejected, and exit 1."""
        if self.rejected:
            typer.echo(f"{verb} {self.accepted:,}, rejected {self.rejected:,}", err=True)
            raise typer.Exit(1)
