"""The Wyckoff notation of Wren's data sets: `('Br @ 24-e-225', 'Rb @ 8-c-225', 'U @ 4-a-225')`.

One entry an orbit: element, multiplicity, letter and space group (Goodall et al., Science Advances 8, eabn4117, 2022).
"""

from __future__ import annotations

import re

from .elements import ATOMIC_NUMBER
from .errors import LabelError, ProtostructureError
from .protostructure import Orbit, Protostructure
from .spacegroup import SpaceGroup

_ENTRY = re.compile(r"([A-Z][a-z]?) @ ([0-9]{1,3})-([a-zA])-([0-9]{1,3})", re.ASCII)
_LIST = re.compile(rf"[(\[]?\s*(['\"]?){_ENTRY.pattern}\1(?:\s*,\s*\1{_ENTRY.pattern}\1)*\s*,?\s*[)\]]?", re.ASCII)


def parse_wren(text: str) -> Protostructure:
    """The protostructure of an entry list, in the setting it is in. LabelError, with the rule, for anything else.

    >>> str(parse_wren("('Gd @ 1-a-221', 'K @ 1-b-221', 'O @ 3-d-221')"))
    'ABC3_cP5_221_a_b_d:Gd-K-O'
    """
    if not isinstance(text, str) or not _LIST.fullmatch(text.strip()):
        raise LabelError(
            "Wren's notation is a list of entries like 'Br @ 24-e-225'", text if isinstance(text, str) else None
        )
    entries = list(_ENTRY.finditer(text))
    numbers = {int(entry[4]) for entry in entries}
    if len(numbers) > 1:
        raise LabelError(f"all entries name one space group, got {sorted(numbers)}", text)
    orbits = []
    try:
        group = SpaceGroup.from_number(numbers.pop())
        for entry in entries:
            element, multiplicity, letter = entry[1], int(entry[2]), entry[3]
            if element not in ATOMIC_NUMBER:
                raise LabelError(f"{element!r} is not the symbol of an element", text, entry.start())
            due = group.position(letter).multiplicity
            if multiplicity != due:
                raise LabelError(
                    f"position {letter} of {group.symbol} ({group.number}) has multiplicity {due}, got {multiplicity}",
                    text,
                    entry.start(2),
                )
            orbits.append(Orbit(element, letter))
        return Protostructure(group, tuple(orbits))
    except ProtostructureError as error:
        raise LabelError(str(error), text) from None


def format_wren(protostructure: Protostructure) -> str:
    """The entry list of a protostructure, in the setting it is in."""
    group = protostructure.space_group
    entries = (
        f"'{orbit.element} @ {group.position(orbit.letter).multiplicity}-{orbit.letter}-{group.number}'"
        for orbit in protostructure.orbits
    )
    return f"({', '.join(entries)})"
