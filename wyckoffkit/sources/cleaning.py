"""Cleaning rules for WBM, as Matbench Discovery curates it (data/wbm/readme.md there)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from .entry import Entry

RULES = {
    "misaligned": "six structures of step 3 for which there are no energies; those after them are renumbered",
    "extreme-energy": "formation energies beyond ±5 eV/atom",
}
"""Names of the rules that can be asked for; cells without volume are always refused, whatever the rules."""

# Keys of step 3 in the authors' file, numbered from 0.
_MISALIGNED = (70802, 70803, 70825, 70826, 70828, 70829)
_NO_VOLUME = "the cell has a volume of"  # the words of `Crystal`
_MAX_ENERGY = 5.0  # eV/atom

_STEP_3 = re.compile(r".*: step_3_(\d+)")


def realigned(entries: Iterator[Entry]) -> Iterator[Entry]:
    """Entries of the authors' files in the numbering of the energies, and of Matbench Discovery."""
    for entry in entries:
        match = _STEP_3.fullmatch(entry.place)
        if not match:
            yield entry
            continue
        key = int(match[1])
        if key in _MISALIGNED:
            yield replace(entry, material_id=f"step_3_{key}", kind="fault", text=b"rule misaligned: it has no energies")
        else:
            number = key + 1 - sum(key > other for other in _MISALIGNED)
            yield replace(entry, material_id=f"wbm-3-{number}")


def broken_rule(rules: tuple[str, ...], properties: Mapping[str, float]) -> str | None:
    """The rule that a material's properties break, in words."""
    energy = properties.get("e_form_per_atom", 0.0)
    if "extreme-energy" in rules and abs(energy) > _MAX_ENERGY:
        return f"rule extreme-energy: a formation energy of {energy:g} eV/atom, beyond ±{_MAX_ENERGY:g}"
    return None


def count_rules(rules: tuple[str, ...], reasons: Iterable[str]) -> dict[str, int]:
    """How many rows each rule has rejected, with those without volume where any rule is asked for."""
    counts = dict.fromkeys((*rules, "no-volume") if rules else (), 0)
    for reason in reasons:
        rule = reason.removeprefix("rule ").partition(":")[0] if reason.startswith("rule ") else "no-volume"
        if rule in counts and (rule != "no-volume" or reason.startswith(_NO_VOLUME)):
            counts[rule] += 1
    return counts
