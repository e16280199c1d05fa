"""Several evaluations on one page: a chart a measure, the table, and their distributions over each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from . import charts
from .page import page

Plot = tuple[str, Sequence[Mapping[str, Any] | None], Mapping[str, float]]
"""A measure, its estimate of each model in the units to show, and lines to show beside them by name."""
LONGEST = 20
CLASSES = ("ours", "novel", "third", "fourth", "theirs")


def render_comparison(names: Sequence[str], plots: Sequence[Plot], table: str) -> str:
    """One chart for each plot, then `table`, the HTML of all numbers."""
    listed = ", ".join(f"<b>{escape(name)}</b>" for name in names)
    parts = [
        "<h1>Comparison</h1>",
        (
            f"<p>{listed}. Whiskers are 95 % intervals. <i>Held-out</i> is what real materials reach that are not in "
            "the training data, <i>resampled</i> the training set drawn with replacement.</p>"
        ),
        f"<div class='multiples'>{''.join(_chart(names, *plot) for plot in plots)}</div>",
        "<h2>All measures</h2>",
        table,
    ]
    return page("Comparison", parts, shape="broad")


def _chart(names: Sequence[str], measure: str, estimates: Sequence[Mapping[str, Any] | None], lines: Any) -> str:
    rows = [
        (_short(name), estimate, CLASSES[i % len(CLASSES)])
        for i, (name, estimate) in enumerate(zip(names, estimates, strict=True))
        if estimate is not None and estimate["value"] is not None
    ]
    if not rows:
        return ""
    values = [estimate["value"] for _, estimate, _ in rows] + list(lines.values())
    from_zero = min(values) < 0.6 * max(values)
    return f"<figure class='narrow'>{charts.intervals(rows, lines, measure, from_zero=from_zero)}</figure>"


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
