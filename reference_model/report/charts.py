"""The charts of a report, each from plain numbers to SVG text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, pairwise
from typing import Any

from .figure import Scale, bottom_axis, element, left_axis, legend, number, polyline, svg, text, titled

WIDTH = 720
NARROW = 500
KEYS = (("ours", "samples"), ("theirs", "training data"))

Rows = Sequence[tuple[str, float, float | None]]
"""(category, share of the samples, share of the training data where known)."""

_NUMBER_WIDTH, _NUMBER_HEIGHT = 44, 12  # of an annotation, about


def strip(value: float, low: float, high: float, held_out: float | None = None, resampled: float | None = None) -> str:
    """A share and its interval on 0 … 1, with ticks at what held-out data and the resampled training set show."""
    scale = Scale(0, 1, 4, 136)
    parts = [
        element("line", x1=4, x2=136, y1=9, y2=9, class_="grid"),
        element("line", x1=scale(low), x2=scale(high), y1=9, y2=9, class_="whisker"),
    ]
    for name, line, class_ in (("resampled", resampled, "again"), ("held-out", held_out, "real")):
        if line is not None:
            x = scale(line)
            tick = element("line", x1=x, x2=x, y1=2, y2=16, class_=class_)
            parts.append(titled(tick, f"{name}: {100 * line:.2f} %"))
    parts.append(element("circle", cx=scale(value), cy=9, r=3.5, class_="ours"))
    return svg(140, 18, parts, f"{100 * value:.1f} per cent")


def bars(rows: Rows, label: str) -> str:
    """Horizontal pairs of bars."""
    height = 34 + 30 * len(rows)
    largest = max(chain((s for _, s, _ in rows), (t or 0.0 for _, _, t in rows)), default=0.0) or 1.0
    scale = Scale(0, largest * 1.05, 130, WIDTH - 62)
    parts = legend(KEYS, 130, 14)
    for i, (name, ours, theirs) in enumerate(rows):
        y = 26 + 30 * i
        parts.append(text(name, 122, y + 14, anchor="end"))
        for share, class_, dy in ((ours, "ours", 0), (theirs, "theirs", 11)):
            if share is not None:
                bar = element("rect", x=130, y=y + dy, width=max(0.5, scale(share) - 130), height=10, class_=class_)
                parts += [
                    titled(bar, f"{name}: {100 * share:.2f} %"),
                    text(f"{100 * share:.1f} %", scale(share) + 5, y + dy + 9),
                ]
    return svg(WIDTH, height, parts, label)


def mirrored(rows: Rows, label: str, *, title: str) -> str:
    """Thin columns: samples upwards, training data downwards, on one scale. Many categories fit."""
    largest = max(chain((s for _, s, _ in rows), (t or 0.0 for _, _, t in rows)), default=0.0) or 1.0
    left, right, middle, reach = 52, WIDTH - 8, 140, 105
    step = (right - left) / max(1, len(rows))
    up = Scale(0, largest, middle, middle - reach)
    down = Scale(0, largest, middle, middle + reach)
    parts = [*legend(KEYS, left, 14), *left_axis(up, left, right, per_cent=True)]
    parts += left_axis(down, left, right, per_cent=True)
    every = next(k for k in (1, 2, 5, 10, 15, 20, 25, 50, 100) if len(rows) / k <= 24)
    for i, (name, ours, theirs) in enumerate(rows):
        x = left + step * i
        for share, class_ in ((ours, "ours"), (theirs or 0.0, "theirs")):
            size = middle - up(share)
            if size > 0.05:
                y = middle - size if class_ == "ours" else middle
                parts.append(element("rect", x=x, y=y, width=max(0.8, step * 0.85), height=size, class_=class_))
        known = "" if theirs is None else f", training data {100 * theirs:.2f} %"
        cover = element("rect", x=x, y=middle - reach, width=step, height=2 * reach, class_="cover")
        parts.append(titled(cover, f"{name}: samples {100 * ours:.2f} %{known}"))
        if i % every == 0:
            parts.append(text(name, x + step / 2, middle + reach + 16, anchor="middle"))
    parts.append(text(title, (left + right) / 2, middle + reach + 34, anchor="middle", class_="title"))
    return svg(WIDTH, middle + reach + 42, parts, label)


def energies(histogram: Mapping[str, Sequence[float]], quantiles: Mapping[str, Mapping[str, Any]]) -> str:
    """Predicted formation energies as in the paper's Figure 2: shares, and Q10, Q50, Q90 of each set as ticks below."""
    edges = histogram["edges"]
    names = [("training", "theirs"), ("all", "ours"), ("novel", "novel")]
    largest = max((max(histogram[name], default=0.0) for name, _ in names), default=0.0) or 1.0
    x = Scale(edges[0], edges[-1], 52, WIDTH - 12)
    y = Scale(0, largest * 1.05, 210, 24)
    parts = legend(
        [(class_, "training data" if name == "training" else f"{name} samples") for name, class_ in names], 52, 14
    )
    parts += left_axis(y, 52, WIDTH - 12, per_cent=True)
    for name, class_ in names:
        xs = list(chain.from_iterable((x(a), x(b)) for a, b in pairwise(edges)))
        ys = list(chain.from_iterable((y(share), y(share)) for share in histogram[name]))
        parts.append(polyline(xs, ys, class_))
    for k, (name, class_) in enumerate(names):
        for quantile, found in quantiles[name].items():
            if found["value"] is not None and edges[0] <= found["value"] <= edges[-1]:
                at = x(found["value"])
                tick = element("line", x1=at, x2=at, y1=216 + 11 * k, y2=225 + 11 * k, class_=f"mark {class_}")
                parts.append(titled(tick, f"{name} {quantile}: {found['value']:.3f} eV/atom"))
    parts += bottom_axis(x, 254, "predicted formation energy, eV/atom")
    return svg(WIDTH, 294, parts, "Predicted formation energies of samples, novel samples and training data")


def rarefaction(
    curves: Mapping[str, Mapping[str, Sequence[float]]],
    named: Sequence[tuple[str, str, str]],
    label: str,
    *,
    repeats: bool = False,
) -> str:
    """Expected distinct items among m samples, or how many are not, for each (curve, class, name) that there is."""
    if repeats:
        curves = {key: {**curve, "distinct": _repeated(curve)} for key, curve in curves.items()}
    shown = [(key, class_, name) for key, class_, name in named if curves.get(key, {}).get("samples")]
    across = max((curves[key]["samples"][-1] for key, *_ in shown), default=1)
    most = max((curves[key]["distinct"][-1] for key, *_ in shown), default=1)
    x, y = Scale(0, across, 58, WIDTH - 24), Scale(0, most * 1.04, 250, 28)
    parts = [*legend([(class_, name) for _, class_, name in shown], 58, 14), *left_axis(y, 58, WIDTH - 24)]
    ends: list[tuple[float, float, float]] = []
    for key, class_, name in reversed(shown):  # the first lies on top
        sizes, distinct = curves[key]["samples"], curves[key]["distinct"]
        line = polyline([x(0), *map(x, sizes)], [y(0), *map(y, distinct)], class_)
        parts.append(titled(line, f"{name}: {distinct[-1]:,.0f} of {sizes[-1]:,}"))
        ends.append((x(sizes[-1]) - 4, y(distinct[-1]) - 5, distinct[-1]))
    parts += [text(f"{value:,.0f}", right, up, anchor="end") for right, up, value in _apart(ends)]
    parts += bottom_axis(x, 250, label)
    return svg(WIDTH, 290, parts, label)


def _apart(ends: Sequence[tuple[float, float, float]]) -> Iterator[tuple[float, float, float]]:
    """(x, y, number) at the ends of lines, the lowest first, moved up where they would lie on one another."""
    placed: list[tuple[float, float]] = []
    for x, y, value in sorted(ends, key=lambda end: -end[1]):
        for other, taken in placed:
            if abs(other - x) < _NUMBER_WIDTH and y > taken - _NUMBER_HEIGHT:
                y = taken - _NUMBER_HEIGHT
        placed.append((x, y))
        yield x, y, value


def _repeated(curve: Mapping[str, Sequence[float]]) -> list[float]:
    return [m - distinct for m, distinct in zip(curve["samples"], curve["distinct"], strict=True)]


def intervals(
    rows: Sequence[tuple[str, Mapping[str, Any], str]],
    lines: Mapping[str, float],
    title: str,
    *,
    from_zero: bool = True,
) -> str:
    """Values with whiskers on one scale, and vertical lines that are named below."""
    rows = [row for row in rows if None not in row[1].values()]  # what has no bound has no place on a scale
    ends = [row[key] for _, row, _ in rows for key in ("low", "high") if row[key] is not None] + list(lines.values())
    low, high = min([0.0, *ends] if from_zero else ends, default=0.0), max(ends, default=1.0) or 1.0
    x = Scale(low, high + 0.04 * (high - low), 150, NARROW - 12)
    bottom = 12 + 26 * len(rows)
    parts = []
    for i, (name, value) in enumerate(lines.items()):
        at = x(value)
        class_ = "again" if name == "resampled" else "real"
        parts.append(element("line", x1=at, x2=at, y1=4, y2=bottom, class_=class_))
        parts.append(text(f"{name}: {number(value)}", 24, bottom + 58 + 17 * i, class_="key"))
        parts.append(element("line", x1=4, x2=18, y1=bottom + 54 + 17 * i, y2=bottom + 54 + 17 * i, class_=class_))
    for i, (name, row, class_) in enumerate(rows):
        y = 16 + 26 * i
        whisker = element("line", x1=x(row["low"]), x2=x(row["high"]), y1=y, y2=y, class_="whisker")
        dot = element("circle", cx=x(row["value"]), cy=y, r=5, class_=class_)
        parts += [text(name, 142, y + 4, anchor="end"), titled(whisker + dot, f"{name}: {number(row['value'])}")]
    parts += bottom_axis(x, bottom, title)
    return svg(NARROW, bottom + 50 + 17 * len(lines), parts, title)
