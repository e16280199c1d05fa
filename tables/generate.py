"""Write the tables of the 230 space groups, or `--check` the ones at hand byte for byte.

Sources and formats are stated in README.md beside this file. What can be derived is derived: the number of
Wyckoff positions of a group, their multiplicities and degrees of freedom come from the operations alone.
"""

from __future__ import annotations

import argparse
import csv
import importlib.metadata
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import spglib
from flats import Stratum, strata
from settings import Group, crystal_system, flat_of, format_triplet, group, hall_numbers, stored_triplets
from symbols import site_symmetry_symbols

HERE = Path(__file__).resolve().parent
LETTERS = "abcdefghijklmnopqrstuvwxyzA"


@cache
def positions(number: int) -> tuple[tuple[str, Stratum], ...]:
    """`(representative triplet, stratum)` in letter order; ValueError unless they match one to one."""
    g = group(number)
    derived = strata(g.primitive)
    matched = []
    for triplet in stored_triplets()[number - 1]:
        flat = flat_of(g, triplet)
        matched.append((triplet, next((s for s in derived if flat in s.flats), None)))
    if {id(s) for _, s in matched} != {id(s) for s in derived} or len(matched) != len(derived):
        raise ValueError(f"group {number}: the stored triplets are not one on each derived position")
    return tuple(matched)


def multiplicity(g: Group, stratum: Stratum) -> int:
    """Sites in the conventional cell: operations in the cell over the order of the stabiliser."""
    return len(g.operations) * len(g.centrings) // len(stratum.stabiliser)


def space_group_rows() -> Iterator[tuple]:
    """number, symbol, family, centring, crystal system, point group, Hall number and symbol."""
    for number, hall in enumerate(hall_numbers(), 1):
        kind = spglib.get_spacegroup_type(hall)
        system, family = crystal_system(number)
        symbol = kind.international_short
        point_group = kind.pointgroup_international
        centring = symbol[0].replace("A", "C")  # the Pearson symbol's letter
        yield number, symbol, family, centring, system, point_group, hall, kind.hall_symbol


def wyckoff_position_rows() -> Iterator[tuple]:
    """number, letter, multiplicity, site symmetry, degrees of freedom, representative coordinates."""
    for number in range(1, 231):
        g, rows = group(number), positions(number)
        counts = [multiplicity(g, stratum) for _, stratum in rows]
        symbols = site_symmetry_symbols(g, [triplet for triplet, _ in rows], hall_numbers()[number - 1])
        for letter, (triplet, stratum), count in zip(LETTERS, rows, counts, strict=False):
            yield number, letter, count, symbols[letter], stratum.dof, triplet


def operation_rows() -> Iterator[tuple]:
    """number, coordinate triplet; one a rotation, the identity first."""
    for number in range(1, 231):
        for operation in group(number).operations:
            yield number, format_triplet(operation)


TABLES: dict[str, tuple[str, Callable[[], Iterator[tuple]]]] = {
    "space_groups": (
        "number,symbol,family,centring,crystal_system,point_group,hall_number,hall_symbol",
        space_group_rows,
    ),
    "wyckoff_positions": (
        "number,letter,multiplicity,site_symmetry,dof,coordinates",
        wyckoff_position_rows,
    ),
    "operations": ("number,operation", operation_rows),
}


def render(name: str) -> str:
    """The whole text of one table."""
    header, rows = TABLES[name]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header.split(","))
    writer.writerows(rows())
    return out.getvalue()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the files at hand, write nothing")
    parser.add_argument("tables", nargs="*", choices=[*TABLES, []], help="default: all")
    options = parser.parse_args(arguments)
    stale = []
    for name in options.tables or TABLES:
        text, path = render(name).encode(), HERE / f"{name}.csv"
        if options.check and (not path.is_file() or path.read_bytes() != text):
            stale.append(path.name)
        elif not options.check:
            path.write_bytes(text)
    if stale:
        versions = ", ".join(f"{p} {importlib.metadata.version(p)}" for p in ("spglib", "pyxtal"))
        sys.stderr.write(f"differs from what {versions} give: {', '.join(stale)}\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
