"""Arguments and options that several commands share, and how labels travel: one a line, `-` is stdin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from wyckoffkit.errors import LabelError

if TYPE_CHECKING:
    from wyckoffkit.protostructure import Protostructure, Prototype

T = TypeVar("T")

LabelFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="Labels, one a line, in a column 'label' or in JSON lines; '-' is stdin.")
]
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
    typer.Option("--column", help="The column of a table or field of JSON lines with the labels, if not 'label'."),
]


def label_lines(path: Path, rejections: Rejections, column: str | None = None) -> Iterator[tuple[int, str]]:
    """(line number from 1, text) of each label of a file; rows that hold none are told."""
    from wyckoffkit.labelrows import label_rows
    from wyckoffkit.textlines import open_lines

    called = Path("<stdin>") if str(path) == "-" else path
    with open_lines(path) as lines:
        yield from label_rows(called, lines, rejections.reject, column)


def protostructures(
    file: Path, rejections: Rejections, column: str | None = None
) -> Iterator[tuple[str, str, Protostructure]]:
    """(where, text, protostructure) of each label in a file; the others are told."""
    name = "<stdin>" if str(file) == "-" else str(file)
    for number, text in label_lines(file, rejections, column):
        where = f"{name}:{number}"
        protostructure = rejections.parse(text, where)
        if protostructure is not None:
            yield where, text, protostructure


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
