"""Files of CIF, POSCAR and extended XYZ text, split into one entry a structure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .entry import Entry
from .stream import ByteStream
from .tables_of_text import text_lines

MAX_TEXT = 64 << 20
"""Bytes of a file that holds one structure."""

_CIF = re.compile(r"^\s*data_", re.MULTILINE | re.IGNORECASE)
_NUMBERS = re.compile(r"\s*[-+.\d][-+.\deEdD]*(\s+[-+.\d][-+.\deEdD]*){2}\b")


def looks_like_cif(head: str) -> bool:
    """A data block with cell or atoms."""
    return bool(_CIF.search(head)) and ("_cell_" in head or "_atom_site" in head)


def looks_like_extxyz(head: str) -> bool:
    """A number of atoms, then a comment with the cell."""
    lines = head.split("\n", 2)
    return len(lines) > 1 and lines[0].strip().isdecimal() and "lattice=" in lines[1].lower()


def looks_like_poscar(head: str) -> bool:
    """A title, a scale, and three cell vectors."""
    lines = head.splitlines()
    if len(lines) < 7 or not all(_NUMBERS.match(line) for line in lines[2:5]):
        return False
    try:
        return all(float(value) != 0 for value in lines[1].split()) and len(lines[1].split()) in (1, 3)
    except ValueError:
        return False


def text_entries(stream: ByteStream, kind: str, place: str, stem: str) -> Iterator[Entry]:
    """The entries of a file of `kind` cif, poscar or extxyz; `stem` names what has no name of its own."""
    if kind == "extxyz":
        yield from _frames(stream, place, stem)
        return
    text = b"".join(_bounded(stream.blocks()))
    if len(text) > MAX_TEXT:
        yield Entry(stem, place, "fault", f"a {kind} file of more than {MAX_TEXT >> 20} MB".encode())
        return
    blocks = _cif_blocks(text) if kind == "cif" else [text]
    for i, block in enumerate(blocks, start=1):
        one = len(blocks) == 1
        yield Entry(stem if one else f"{stem}-{i}", place if one else f"{place}: block {i}", kind, block)


def _bounded(blocks: Iterator[bytes]) -> Iterator[bytes]:
    size = 0
    for block in blocks:
        yield block
        size += len(block)
        if size > MAX_TEXT:
            return


def _cif_blocks(text: bytes) -> list[bytes]:
    """Data blocks that hold atoms; the whole text where none does, so that its reader says what is wrong."""
    starts = [match.start() for match in re.finditer(rb"^data_", text, re.MULTILINE | re.IGNORECASE)]
    parts = [text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]
    return [part for part in parts if b"_atom_site" in part] or [text]


def _frames(stream: ByteStream, place: str, stem: str) -> Iterator[Entry]:
    """Frames of extended XYZ; after a wrong count, from the next line that is a count."""
    lines = _Lines(text_lines(stream))
    number = 0
    while first := lines.take():
        if not first.strip():
            continue
        number += 1
        where = f"{place}:{lines.number}"
        name = f"#{stem}-{number}"
        if not first.strip().isdecimal():
            yield Entry(
                name[1:], where, "fault", f"a frame begins with its number of atoms, not {first[:40]!r}".encode()
            )
            while lines.ahead and not lines.ahead.strip().isdecimal():
                lines.take()
            continue
        frame = [first, lines.take()]
        # A count in the place of an atom begins the next frame.
        while len(frame) < int(first) + 2 and lines.ahead and not lines.ahead.strip().isdecimal():
            frame.append(lines.take())
        if number == 1 and not lines.ahead.strip():
            name = f"#{stem}"  # the only one, so the file names it
        if len(frame) < int(first) + 2:
            reason = f"{len(frame) - 2} atoms where its first line says {int(first)}"
            yield Entry(name[1:], where, "fault", reason.encode())
        else:
            yield Entry(name, where, "extxyz", "".join(frame).encode())


class _Lines:
    """Lines with one ahead; empty text at the end."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.ahead = next(lines, "")
        self.number = 0

    def take(self) -> str:
        line, self.ahead = self.ahead, next(self._lines, "")
        self.number += 1
        return line
