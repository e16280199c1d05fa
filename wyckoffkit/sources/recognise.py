"""Which kind of source a file is: by its content, never by its name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ..errors import DatasetError
from ..textlines import HDF5
from .collected import Collection, Part
from .entry import Entry, check_structure
from .json_layouts import Opener, json_entries
from .single_files import looks_like_cif, looks_like_extxyz, looks_like_poscar, text_entries
from .stream import ByteStream
from .tables_of_text import check_no_other_table, csv_entries, label_entries, looks_like_csv, looks_like_labels

_HEAD = 65_536
_ZIP = b"PK\x03\x04"
_SUFFIXES = {".bz2", ".cif", ".extxyz", ".gz", ".mcif", ".poscar", ".txt", ".vasp", ".xyz", ".xz", ".zst"}


@dataclass(slots=True)
class Source:
    """One input: a file, folder or zip archive. DatasetError at once if it is missing, empty or of no known kind."""

    path: Path
    structure: str = "org"
    """Which structure to take where both are there: `org` before, `opt` after relaxation."""
    realign: bool = False
    """Leave out the six structures of WBM's step 3 that its energies lack, and renumber those after them."""
    except_for: Path | None = None
    """What a build writes, which is no part of the folder it may lie in."""
    kind: str = field(init=False)
    """json, csv, labels, cif, poscar, extxyz, folder or zip."""
    stream: ByteStream | Collection = field(init=False)
    """Tells size, position and SHA-256."""

    def __post_init__(self) -> None:
        check_structure(self.structure)
        if self.path.is_dir() or _is_zip(self.path):
            self.kind = "folder" if self.path.is_dir() else "zip"
            self.stream = Collection(self.path, self.except_for)
        else:
            self.stream = ByteStream(self.path)
            self.kind = _kind(self.path, self.stream, _head(ByteStream(self.path)))

    def entries(self) -> Iterator[Entry]:
        """All entries in order; raises DatasetError after the last good one where the file is damaged."""
        if isinstance(self.stream, Collection):
            return _entries_of_parts(self)
        return _entries(self, self.stream, lambda: ByteStream(self.path), self.kind, self.path.name)


def _entries(source: Source, stream: ByteStream, again: Opener, kind: str, name: str) -> Iterator[Entry]:
    match kind:
        case "json":
            return json_entries(stream.path, stream, again, source.structure, source.realign)
        case "csv":
            return csv_entries(stream.path, stream, source.structure)
        case "labels":
            return label_entries(stream.path, stream)
        case _:
            return text_entries(stream, kind, str(stream.path), _stem(name))


def _entries_of_parts(source: Source) -> Iterator[Entry]:
    """Entries of every part; a part that is no source, or damaged, becomes a fault of its name."""
    collection = source.stream
    assert isinstance(collection, Collection)
    for part in collection.parts:
        sha256 = ""
        opened = partial(_opened, part)
        try:
            stream = opened()
            kind = _kind(part.path, stream, _head(opened()))
            yield from _entries(source, stream, opened, kind, part.name)
            sha256 = stream.sha256
        except DatasetError as error:
            yield Entry(part.name, str(part.path), "fault", str(error).removeprefix(f"{part.path}: ").encode())
        collection.finished(part, sha256)


def _opened(part: Part) -> ByteStream:
    return ByteStream(part.path, part.open, part.size)


def _stem(name: str) -> str:
    """What to call the structure of a file: its name without suffixes, or that of its folder (mp-1/POSCAR)."""
    path = Path(name)
    while path.suffix.lower() in _SUFFIXES:
        path = path.with_suffix("")
    if path.name.upper() in ("POSCAR", "CONTCAR") and path.parent.name:
        return path.parent.name
    return path.name


def _is_zip(path: Path) -> bool:
    try:
        if not path.is_file():
            return False
        with open(path, "rb") as file:
            return file.read(4) == _ZIP
    except OSError:
        return False  # ByteStream says why


def _head(stream: ByteStream) -> bytes:
    blocks = stream.blocks()
    try:
        return next(blocks, b"")[:_HEAD]
    finally:
        blocks.close()


_TEXT_KINDS = {
    "csv": looks_like_csv,
    "labels": looks_like_labels,
    "extxyz": looks_like_extxyz,
    "cif": looks_like_cif,
}


def _kind(path: Path, stream: ByteStream, head: bytes) -> str:
    if not head.strip():
        raise DatasetError(f"{path}: the file is empty" + (" once decompressed" if stream.compression else ""))
    if head.lstrip()[:1] in (b"{", b"["):
        return "json"
    if head.startswith(HDF5):
        raise DatasetError(f"{path}: an HDF5 file; datasets are put together by `wyckoffkit dataset merge`")
    text = head.decode("utf-8", "replace").lstrip("\ufeff")
    if looks_like_poscar(text):  # first: its title may be a label, a blank line, anything
        return "poscar"
    text = text.lstrip("\r\n")
    for kind, looks_like in _TEXT_KINDS.items():
        if looks_like(text):
            return kind
    check_no_other_table(path, text)
    claim = ""
    if stream.name_claims and stream.name_claims != stream.compression:
        claim = f"not {stream.name_claims}, although its name says so, and "
    raise DatasetError(
        f"{path}: {claim}no known kind of source: it begins with {head[:24]!r} (known are JSON of structures, CSV with "
        "a column of labels or CIF, lists of labels, CIF, POSCAR, extended XYZ, and folders or zip archives of these)"
    )
