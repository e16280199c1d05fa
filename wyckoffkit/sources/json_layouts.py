"""The shapes that JSON files of structures have in the wild, told apart by their first bytes.

  steps     {"step_1_0": {"org": S, "opt": S}, …}           the authors' WBM files; any object of structures by name
  entries   {"entries": [E, …]}                             Materials Cloud's WBM files; any list of structures
  columns   {"material_id": {"0": …}, "structure": {"0": S}}  pandas; Matbench Discovery's files
  documents S S …, one a line or one alone                  JSON lines, a structure by pymatgen

S is the dictionary of a pymatgen Structure, E of a ComputedStructureEntry (or anything that holds a structure). A row
with a label, as our own commands write, may stand for either.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import DatasetError
from .cleaning import realigned
from .entry import ID_FIELDS, LABEL_COLUMNS, PROPERTIES, Entry, material_name, number_or_nan
from .scan import JsonFault, JsonStream, Member
from .stream import ByteStream

# What marks the beginning of an entry, so that reading can go on after a fault.
_ANCHORS = (
    re.compile(rb'"step_\d+_\d+"\s*:\s*\{'),
    re.compile(rb'"[^"\\]{1,200}"\s*:\s*\{\s*"(?:org|opt)"\s*:\s*\{'),
)
_ROW = re.compile(
    rb'"(?:\d+|(?:wbm-\d|mp|mvc)-\d+)"\s*:\s*\{\s*"(?:@module|@class|lattice|charge|sites|entry_id|energy)"'
)
_FIRST_KEY = re.compile(rb'[{\[]\s*"((?:[^"\\]|\\.){0,200})"\s*:\s*(.)', re.DOTALL)
_BEGINNING = re.compile(rb'\{\s*("([^"\\]|\\.)*("\s*(:\s*)?)?)?', re.DOTALL)
# First keys of a structure, or of what holds one.
_STRUCTURE_KEYS = {
    *(b"org", b"opt", b"@module", b"@class", b"@version", b"charge", b"lattice", b"sites", b"structure", b"energy"),
    *(b"composition", b"entry_id", b"initial_structure", b"relaxed_structure", b"computed_structure_entry"),
    *(b"properties", b"input_structure", b"material_id", b"data", b"id"),
}
_LISTS = {"entries", "structures", "data", "materials", "results"}
_STRUCTURE_COLUMNS = {
    "org": ("initial_structure", "structure", "input_structure", "computed_structure_entry"),
    "opt": ("relaxed_structure", "computed_structure_entry", "structure", "initial_structure"),
}
_TABLE_COLUMNS = {name.encode() for names in _STRUCTURE_COLUMNS.values() for name in names}
# A first member that is a number or text does not tell, unless one of these follows outside a list.
_NESTED_KEYS = b"|".join(sorted({*_TABLE_COLUMNS, b"org", b"opt", b"lattice"}))
_STRUCTURE_AHEAD = re.compile(rb'\A[^\[]*?"(?:' + _NESTED_KEYS + rb')"\s*:\s*\{')
# A row whose label stands before anything nested but lists.
_LABEL_AHEAD = re.compile(
    rb'\{[^{]*?"(?:' + "|".join(LABEL_COLUMNS["org"]).encode() + rb')"\s*:\s*"[A-Za-z0-9]+_[a-z][A-Z][0-9]+_[0-9]+_[^"]'
)
_MAX_COLUMN = 64 << 20  # bytes of one column of scalars: two million ids

Opener = Callable[[], ByteStream]


def json_entries(
    path: Path, stream: ByteStream, again: Opener, structure: str, realign: bool = False
) -> Iterator[Entry]:
    """The entries of a JSON file in any of the layouts; `again` opens it once more, which a column order may need.

    `realign`: see `Source`.

    Raises DatasetError for JSON of another shape, and where the file is damaged or cut off, after all that is good.
    """
    source = JsonStream(stream.blocks())
    try:
        entries = _recognised(path, source, again, structure)
        yield from realigned(entries) if realign else entries
        if source.damage:
            raise source.damage
        if source.stopped:
            raise source.stopped
        if rest := source.ahead(30):
            raise DatasetError(f"{path}: text after the end of the JSON: {rest!r}")
    except JsonFault as fault:
        if source.damage:
            raise source.damage from None
        raise DatasetError(f"{path}: {'cut off' if fault.cut else 'not JSON'}: {fault}") from None


def _recognised(path: Path, source: JsonStream, again: Opener, structure: str) -> Iterator[Entry]:
    head = source.ahead(4096)
    if head[:1] == b"[":
        yield from _list(path, source)
        return
    match = _FIRST_KEY.match(head)
    if not match:
        if head[:1] == b"{" and head[1:].lstrip()[:1] == b"}":
            raise DatasetError(f"{path}: an empty JSON object, without structures")
        raise JsonFault(f"it begins with {head[:30]!r}", cut=_BEGINNING.fullmatch(head) is not None)
    anchor = next((a for a in _ANCHORS if a.match(head[1:].lstrip())), None)
    if anchor:
        yield from _entries(path, source.members(anchor, alone=True), numbered=False)
    elif _is_document(match, head):
        yield from _documents(path, source)
    else:
        yield from _object(path, source, again, structure)


def _is_document(match: re.Match[bytes], head: bytes) -> bool:
    """One material, as it stands in a line of JSON lines or alone in its file."""
    if _LABEL_AHEAD.match(head):
        return True
    if match[2] in (b"{", b"["):
        return match[1] in _STRUCTURE_KEYS and match[2] == b"{" and not _is_table(match, head)
    return match[1] in _STRUCTURE_KEYS or _STRUCTURE_AHEAD.search(head) is not None


def _is_table(match: re.Match[bytes], head: bytes) -> bool:
    """{"structure": {"0": … or {"structure": {"wbm-1-1": …: a column, although a record could begin with this key."""
    inner = re.match(rb'\{\s*"((?:[^"\\]|\\.)*)"\s*:', head[match.end() - 1 :])
    if match[2] != b"{" or not inner:
        return False
    return inner[1] == b"0" or (match[1] in _TABLE_COLUMNS and inner[1] not in _STRUCTURE_KEYS)


def _object(path: Path, source: JsonStream, again: Opener, structure: str) -> Iterator[Entry]:
    """An object whose first member tells: a list of entries, a column of a table, or a structure by name."""
    source.take(b"{")
    key = source.string()
    source.take(b":")
    while (opener := source.peek()) not in (b"{", b"[") or key == "schema":  # a version, what pandas says of types
        source.value()
        if source.peek() != b",":
            break
        source.take(b",")
        key = source.string()
        source.take(b":")
    if opener == b"[" and key in _LISTS:
        yield from _list(path, source)
        while source.peek() == b",":
            source.take(b",")
            source.string()
            source.take(b":")
            source.value()
        source.take(b"}")
        return
    inner = _FIRST_KEY.match(source.ahead(4096))
    if opener != b"{" or not inner:
        raise DatasetError(
            f"{path}: JSON of another shape: its first member {key[:40]!r} is neither a structure, a list of entries "
            "nor a column of a table"
        )
    if inner[1] in _STRUCTURE_KEYS:
        yield from _entries(path, _named(source, key), numbered=False)
    else:
        yield from _columns(path, source, key, again, structure)


def _named(source: JsonStream, key: str) -> Iterator[Member]:
    """Members of an object whose first key and colon have been read."""
    while True:
        yield Member(key, source.value())
        if source.peek() == b"}":
            source.take(b"}")
            return
        source.take(b",")
        key = source.string()
        source.take(b":")


def _list(path: Path, source: JsonStream) -> Iterator[Entry]:
    # The first bytes of the first entry mark the others, if they name a class that is not nested in it.
    match = re.match(rb'\[\s*(\{\s*"@module"\s*:\s*"[\w.]+"\s*,\s*"@class"\s*:\s*"(\w+)")', source.ahead(256))
    anchor = None
    if match and match[2] != b"Structure":
        anchor = re.compile(re.escape(match[1]))
    yield from _entries(path, source.members(anchor, alone=True), numbered=True)


def _documents(path: Path, source: JsonStream) -> Iterator[Entry]:
    stem = path.name.partition(".")[0]
    for member in source.documents():
        number = int(member.key) + 1
        name, place = f"#{stem}-{number}", f"{path}: document {number}"
        if member.fault:
            yield Entry(name[1:], place, "fault", member.fault.encode())
        else:
            yield Entry(name, place, "json", member.raw)


def _entries(path: Path, members: Iterator[Member], numbered: bool) -> Iterator[Entry]:
    """`numbered` members have no names of their own: those come from inside, or from the file and the number."""
    stem = path.name.partition(".")[0]
    wbm_step = re.fullmatch(r"(?:wbm[-_])?step_(\d)", stem)
    for i, member in enumerate(members):
        if not numbered:
            name, place = material_name(member.key), f"{path}: {member.key}"
        else:
            name = f"#{stem}_{i}" if wbm_step else f"#{stem}-{i + 1}"
            place = f"{path}: entry {i + 1}"
        if member.fault:
            yield Entry(name.removeprefix("#"), place, "fault", member.fault.encode())
        else:
            yield Entry(name, place, "json", member.raw)


def _columns(path: Path, source: JsonStream, key: str, again: Opener, structure: str) -> Iterator[Entry]:
    """A table by columns: scalars are kept, and one column of structures is streamed."""
    scalars: list[str] = []
    kept: dict[str, dict[str, object] | None] | None = None
    wanted: str | None = None
    while True:
        inner = _FIRST_KEY.match(source.ahead(4096))
        if inner and inner[2] == b"{":
            if kept is None:
                # The names may stand in a later column, so those are read first, in a pass of their own.
                names, kept = _scalar_columns(path, again)
                wanted = next((name for name in _STRUCTURE_COLUMNS[structure] if name in names), key)
            if key == wanted:
                yield from _rows(path, source.members(_ROW), {name: c for name, c in kept.items() if c is not None})
            else:
                for _ in source.members():
                    pass
        else:
            scalars.append(key)
            source.value(_MAX_COLUMN)
        if source.peek() == b"}":
            break
        source.take(b",")
        key = source.string()
        source.take(b":")
    source.take(b"}")
    if kept is None:
        raise DatasetError(f"{path}: a table without a column of structures; its columns are {', '.join(scalars)}")
    if lost := [name for name, column in kept.items() if column is None]:
        raise DatasetError(f"{path}: the column {lost[0]!r} is no JSON object, so its values are missing")


def _scalar_columns(path: Path, again: Opener) -> tuple[set[str], dict[str, dict[str, object] | None]]:
    """(names of the columns of structures, scalar columns that are of use; None for one that is no column)."""
    source = JsonStream(again().blocks())
    names: set[str] = set()
    kept: dict[str, dict[str, object] | None] = {}
    try:
        source.take(b"{")
        while True:
            key = source.string()
            source.take(b":")
            inner = _FIRST_KEY.match(source.ahead(4096))
            if inner and inner[2] == b"{":
                names.add(key)
                for _ in source.members(_ROW):
                    pass
            elif key in PROPERTIES or key in ID_FIELDS:
                kept[key] = _scalars(source.value(_MAX_COLUMN))
            else:
                source.value(_MAX_COLUMN)
            if source.peek() != b",":
                break
            source.take(b",")
    except (JsonFault, ValueError):
        pass  # the pass over the structures meets the same place and reports it
    return names, kept


def _scalars(raw: bytes) -> dict[str, object] | None:
    try:
        column = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return column if isinstance(column, dict) else None


def _rows(path: Path, members: Iterator[Member], kept: dict[str, dict[str, object]]) -> Iterator[Entry]:
    ids = next((kept[name] for name in ID_FIELDS if name in kept), {})
    values = {PROPERTIES[name]: column for name, column in kept.items() if name in PROPERTIES}
    for member in members:
        name = material_name(str(ids.get(member.key, member.key)))
        place = f"{path}: row {member.key}"
        if member.fault:
            yield Entry(name, place, "fault", member.fault.encode())
        else:
            properties = {called: number_or_nan(column.get(member.key)) for called, column in values.items()}
            yield Entry(name, place, "json", member.raw, properties)
