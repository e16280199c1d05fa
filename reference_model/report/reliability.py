"""Reliability diagrams: how often something happened against the probability that it was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import log10
from typing import Any

from .figure import Scale, element, number, svg, text, titled
from .page import page

SIZE, LEFT, BOTTOM = 420, 58, 372
FLOOR = 1e-5
"""Shares below are drawn here."""


def diagram(bins: Sequence[Mapping[str, Any]], label: str) -> str:
    """Observed shares with their intervals over predicted probabilities, both on logarithmic axes."""
    across, up = Scale(log10(FLOOR), 0, LEFT, SIZE - 8), Scale(log10(FLOOR), 0, BOTTOM, 20)

    def at(value: float) -> float:
        return log10(max(value, FLOOR))

    parts = [element("line", x1=across(-5), y1=up(-5), x2=across(0), y2=up(0), class_="real dashed")]
    for power in range(-5, 1):
        x, y = across(power), up(power)
        parts += [
            element("line", x1=LEFT, x2=SIZE - 8, y1=y, y2=y, class_="grid"),
            element("line", x1=x, x2=x, y1=BOTTOM, y2=BOTTOM + 4, class_="axis"),
            text(number(10.0**power), x, BOTTOM + 17, anchor="middle"),
            text(number(10.0**power), LEFT - 6, y + 4, anchor="end"),
        ]
    parts += [
        text("predicted probability", (LEFT + SIZE) / 2, BOTTOM + 36, anchor="middle", class_="title"),
        text("share that came true", LEFT, 12, class_="title"),
    ]
    for one in bins:
        x, low, high = across(at(one["predicted"])), up(at(one["observed_low"])), up(at(one["observed_high"]))
        told = f"{one['n']:,} predictions of {number(one['predicted'])}: {number(one['observed'])} came true"
        parts += [
            element("line", x1=x, x2=x, y1=low, y2=high, class_="whisker"),
            titled(element("circle", cx=x, cy=up(at(one["observed"])), r=4, class_="ours"), told),
        ]
    return svg(SIZE, BOTTOM + 44, parts, label)


def render_calibration(content: Mapping[str, Any]) -> str:
    """One HTML page of what `Calibration.to_dict` gives, with its "source"; it loads nothing."""
    parts = [
        "<h1>Calibration</h1>",
        (
            f"<p>The model was asked about {content['materials']:,} materials of "
            f"<code>{escape(str(content['source']))}</code>, with some of their orbits taken away. On the dashed line "
            "things happen as often as it says; bars hold 95 %.</p>"
        ),
    ]
    for name, title in (("site", "Positions"), ("element", "Elements")):
        error = content[name]["expected_error"]
        parts += [
            f"<h2>{title}</h2>",
            f"<p>What came true differs from what was predicted, summed over bins, by {100 * error:.2f} %.</p>",
            f'<figure style="max-width:34rem">{diagram(content[name]["bins"], title)}</figure>',
        ]
    return page("Calibration", parts)
