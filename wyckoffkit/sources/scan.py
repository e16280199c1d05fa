"""JSON of any size in constant memory: where its values begin and end, without parsing them.

Brackets are matched on whole blocks with numpy, about 200 MB a second; the text of each value is handed on as it is. An
entry with an error does not swallow the next: where the pattern that begins an entry is known, reading goes on there.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError

MAX_VALUE = 8 << 20
"""Bytes of one entry; a structure of 30,000 sites."""

_FILL = 4 << 20
_SPACE = re.compile(rb"[ \t\r\n]*")
_STRING = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_LINE = re.compile(rb"\n\{")  # objects within a pretty-printed one are indented
_SCALAR = re.compile(rb"[-+0-9.eE]+|true|false|null|NaN|-?Infinity")
_TABLE = np.zeros(256, np.bool_)
_TABLE[list(b'{}[]"\\')] = True


class JsonFault(Exception):
    """Text that is not JSON, or does not close; `cut` where the data end before the value does."""

    def __init__(self, message: str, cut: bool = False) -> None:
        super().__init__(message)
        self.cut = cut


@dataclass(frozen=True, slots=True)
class Member:
    """One value of an object or array: its raw text, or what is wrong with it."""

    key: str
    """Key in an object; index in an array, as text."""
    raw: bytes
    fault: str | None = None


class JsonStream:
    """A cursor over JSON text that comes in blocks."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._buffer = b""
        self._at = 0
        self._ended = False
        self._index: _Brackets | None = None
        self.damage: DatasetError | None = None
        """Why the blocks ended early, if they did."""
        self.stopped: JsonFault | None = None
        """The fault after which no way to read on was found."""

    def peek(self) -> bytes:
        """The next byte that is no space; empty at the end."""
        while True:
            self._at = _SPACE.match(self._buffer, self._at).end()  # type: ignore[union-attr]  # matches the empty text
            if self._at < len(self._buffer):
                return self._buffer[self._at : self._at + 1]
            if not self._more():
                return b""

    def ahead(self, n: int) -> bytes:
        """Up to n bytes from the next one that is no space, left in place."""
        self.peek()
        while len(self._buffer) - self._at < n and self._more():
            pass
        return self._buffer[self._at : self._at + n]

    def take(self, byte: bytes) -> None:
        """Pass over one expected byte; JsonFault for another."""
        found = self.peek()
        if found != byte:
            what = f"found {self.ahead(20)!r}" if found else "the data end"
            raise JsonFault(f"expected {byte.decode()!r}, {what}", cut=not found)
        self._at += 1

    def string(self) -> str:
        """The string at the cursor."""
        if self.peek() != b'"':
            raise JsonFault(f"expected a key, found {self.ahead(20)!r}", cut=not self.peek())
        while not (match := _STRING.match(self._buffer, self._at)):
            if len(self._buffer) - self._at > MAX_VALUE or not self._more():
                raise JsonFault("a string without an end", cut=self._ended)
        self._at = match.end()
        try:
            return str(json.loads(match[0]))
        except ValueError as error:
            raise JsonFault(f"a string that is not JSON: {error}") from None

    def value(self, limit: int = MAX_VALUE) -> bytes:
        """The text of the value at the cursor, of `limit` bytes at most. JsonFault leaves the cursor before it."""
        first = self.peek()
        if first == b'"':
            start = self._at
            self.string()
            return self._buffer[start : self._at]
        if first not in (b"{", b"["):
            return self._scalar()
        while True:
            if self._index is None:
                self._index = _Brackets(self._buffer, self._at)
            end = self._index.close(self._at)
            if end is not None:
                raw = self._buffer[self._at : end]
                self._at = end
                return raw
            size = len(self._buffer) - self._at
            if size > limit:
                raise JsonFault(f"not closed within {limit >> 20} MB")
            if not self._more(max(_FILL, size)):
                raise JsonFault("the data end before it is closed", cut=True)

    def _scalar(self) -> bytes:
        match = _SCALAR.match(self.ahead(64))
        if not match:
            found = self.ahead(20)
            raise JsonFault(f"expected a value, found {found!r}" if found else "the data end", cut=not found)
        self._at += match.end()
        return match[0]

    def members(self, anchor: re.Pattern[bytes] | None = None, *, alone: bool = False) -> Iterator[Member]:
        """Each value of the object or array at the cursor, good ones and faults.

        `anchor` matches where an entry begins (its key, in an object). With it, reading goes on at the next entry
        after a fault; without, the first fault is the last member. `alone`: nothing else in the file has such entries,
        so that one after the closing bracket shows that the bracket was wrong.
        """
        opener = self.peek()
        if opener not in (b"{", b"["):
            raise JsonFault(f"expected an object or array, found {self.ahead(20)!r}", cut=not opener)
        self._at += 1
        number = 0
        separator_due = False
        while True:
            key = str(number)
            in_value = False
            try:
                if self._closes(opener, separator_due, anchor if alone else None):
                    return
                if opener == b"{":
                    is_entry = not (alone and anchor) or anchor.match(self.ahead(512))
                    key = self.string()
                    self.take(b":")
                    self.peek()
                    if not is_entry:
                        raise JsonFault("not an entry like the others")
                in_value = True
                raw = self.value()
                in_value = False
                inner = anchor.search(raw, 1) if anchor else None
                if inner:
                    # The next entry inside this one: this one is not closed.
                    self._move(self._at - len(raw) + inner.start())
                    yield Member(key, raw[: inner.start()], "not closed before the next entry begins")
                    separator_due = False
                else:
                    yield Member(key, raw)
                    separator_due = True
            except JsonFault as fault:
                yield Member(key, b"", str(fault))
                # The cursor is before a value that has no end, and on whatever else was not expected.
                if anchor is None or not self._seek(anchor, self._at + in_value):
                    self.stopped = fault
                    return
                separator_due = False
            number += 1

    def documents(self) -> Iterator[Member]:
        """Each object of a text that is one after the other; after a fault, from the next line that begins one."""
        number = 0
        while self.peek():
            raw, fault, stopped = b"", None, None
            try:
                raw = self.value()
            except JsonFault as error:
                fault, stopped = str(error), error
            inner = _LINE.search(raw)
            if inner:
                self._move(self._at - len(raw) + inner.end() - 1)
                fault = "not closed on its line"
            yield Member(str(number), raw, fault)
            number += 1
            if stopped and not self._seek(_LINE, self._at):
                self.stopped = stopped
                return

    def _closes(self, opener: bytes, separator_due: bool, anchor: re.Pattern[bytes] | None) -> bool:
        """Pass the comma before the next member, or the closing bracket (True)."""
        closer = b"}" if opener == b"{" else b"]"
        if self.peek() == closer:
            self._at += 1
            if anchor and anchor.search(self.ahead(_FILL)):
                raise JsonFault("a closing bracket too many, or an opening one too few")
            return True
        if separator_due:
            self.take(b",")
            self.peek()
        return False

    def _seek(self, anchor: re.Pattern[bytes], start: int) -> bool:
        """Move to the next place from `start` where an entry begins."""
        while True:
            match = anchor.search(self._buffer, start)
            if match:
                self._move(match.start())
                return True
            # Keep the tail: an anchor may lie across two blocks.
            self._move(max(start, len(self._buffer) - 256))
            if not self._more():
                return False
            start = 0

    def _move(self, at: int) -> None:
        self._at = at
        self._index = None

    def _more(self, size: int = _FILL) -> bool:
        """Read on; what lies before the cursor is dropped. False at the end."""
        if self._ended:
            return False
        parts = [self._buffer[self._at :]]
        read = 0
        try:
            while read < size:
                block = next(self._blocks, None)
                if block is None:
                    self._ended = True
                    break
                parts.append(block)
                read += len(block)
        except DatasetError as error:
            self.damage = error
            self._ended = True
        self._buffer = b"".join(parts)
        self._move(0)
        return read > 0


class _Brackets:
    """The brackets outside strings in a buffer, from a place that is outside strings."""

    def __init__(self, buffer: bytes, start: int) -> None:
        data = np.frombuffer(buffer, np.uint8)[start:]
        where = np.flatnonzero(_TABLE[data]).astype(np.int32)
        which = data[where]
        if (which == ord("\\")).any():
            where = where[~_escaped(where, which)]
            which = data[where]
        quotes = which == ord('"')
        outside = ~quotes & (np.cumsum(quotes, dtype=np.int32) & 1 == 0)
        self._where: NDArray[np.int32] = where[outside] + np.int32(start)
        opens = (which[outside] | 0x20) == ord("{")  # "[" and "{" differ in this bit alone
        self._depth = np.cumsum(opens.view(np.int8) * np.int8(2) - np.int8(1), dtype=np.int32)
        self._opens = opens
        self._closers: dict[int, list[int]] = {}

    def close(self, at: int) -> int | None:
        """The end of the object or array that opens at `at`; None if it lies beyond the buffer."""
        i = int(np.searchsorted(self._where, np.int32(at)))
        outer = int(self._depth[i]) - 1
        closers = self._closers.get(outer)
        if closers is None:
            chosen = (self._depth == outer) & ~self._opens
            closers = self._closers[outer] = self._where[chosen].tolist()
        k = bisect_left(closers, at)
        return closers[k] + 1 if k < len(closers) else None


def _escaped(where: NDArray[np.int32], which: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which of these bytes are backslashes, or follow an odd run of them."""
    slashes = where[which == ord("\\")]
    first = np.flatnonzero(np.diff(slashes, prepend=-2) != 1)
    length = np.diff(np.append(first, len(slashes)))
    after = slashes[first] + length
    escaped: NDArray[np.bool_] = (which == ord("\\")) | np.isin(where, after[length % 2 == 1])
    return escaped
