"""The periodic table as a heat map: how much more or less often samples hold an element than the training data."""

from __future__ import annotations

from collections.abc import Mapping
from math import log2

from wyckoffkit.elements import SYMBOLS
from wyckoffkit.periodic_table import NOBLE_GASES, place

from .figure import element, svg, text, titled

CELL = 39
# Text stays readable on the strongest colour.
STRONGEST = 0.7
# Ratios from 1/4 to 4 span the colours.
SPAN = 2.0


def on_page(z: int) -> tuple[int, int]:
    """(row, column) from 0 of an element in the 18-column table; the f block stands in rows 7 and 8.

    >>> on_page(1), on_page(26), on_page(57), on_page(118)
    ((0, 0), (3, 7), (7, 3), (6, 17))
    """
    period, group, block = place(z)
    return (period + 1, z - NOBLE_GASES[period - 1]) if block == "f" else (period - 1, group - 1)


def heat_map(counts: Mapping[str, Mapping[str, int | None]], n_samples: int, n_reference: int) -> str:
    """From the `element` distribution of an evaluation; without a reference the shade is the share itself."""
    largest = max((row["samples"] or 0 for row in counts.values()), default=0) or 1
    parts = []
    for z in range(1, len(SYMBOLS)):
        row, column = on_page(z)
        symbol = SYMBOLS[z]
        found = counts.get(symbol, {"samples": 0, "reference": None})
        ours = (found["samples"] or 0) / max(1, n_samples)
        theirs = None if found["reference"] is None else found["reference"] / max(1, n_reference)
        class_, strength, note = _shade(ours, theirs, largest / max(1, n_samples), n_samples)
        x, y = 8 + CELL * column, 8 + CELL * row + (10 if row > 6 else 0)
        cell = element("rect", x=x, y=y, width=CELL - 2, height=CELL - 2, rx=4, class_="cell") + element(
            "rect",
            x=x,
            y=y,
            width=CELL - 2,
            height=CELL - 2,
            rx=4,
            class_=class_,
            fill_opacity=round(STRONGEST * strength, 3),
        )
        share = text(f"{100 * ours:.1f}", x + CELL / 2 - 1, y + 30, anchor="middle", class_="tiny")
        parts.append(
            titled(
                cell + text(symbol, x + CELL / 2 - 1, y + 17, anchor="middle", class_="symbol") + share,
                f"{symbol}: {note}",
            )
        )
    return svg(18 * CELL + 16, 9 * CELL + 26, parts, "Elements in samples and training data")


def _shade(ours: float, theirs: float | None, largest: float, n_samples: int) -> tuple[str, float, str]:
    """(class, opacity, text). One sample is added on both sides, so that a rare element's absence is no signal."""
    if theirs is None:
        return "more", ours / largest, f"in {100 * ours:.2f} % of the samples"
    note = f"in {100 * ours:.2f} % of the samples, {100 * theirs:.2f} % of the training data"
    change = max(-SPAN, min(SPAN, log2((n_samples * ours + 1) / (n_samples * theirs + 1))))
    return ("more" if change > 0 else "less"), abs(change) / SPAN, note
