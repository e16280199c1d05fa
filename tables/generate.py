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
from pathlib import Path

import spglib
from normalizers import PROFILES, relabelings
from positions import LETTERS, multiplicity, positions
from settings import crystal_system, format_triplet, group, hall_numbers
from symbols import site_symmetry_symbols

HERE = Path(__file__).resolve().parent


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


def relabeling_rows() -> Iterator[tuple]:
    """number, image of the group's letters in table order, profiles; the identity first, then alphabetical."""
    for number in range(1, 231):
        by_profile = relabelings(number)
        for letters in sorted(by_profile["affine"]):
            yield number, letters, " ".join(p for p in PROFILES if letters in by_profile[p])


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
    "relabelings": ("number,letters,profiles", relabeling_rows),
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
