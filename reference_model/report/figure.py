"""The bricks of a chart: scales, axes, SVG elements as text. Colours are CSS classes, for light and dark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from math import floor, isfinite, log10


def element(name: str, *children: str, **attributes: object) -> str:
    """An element; `class_` is class, other underscores become hyphens, numbers are rounded."""
    parts = []
    for key, value in attributes.items():
        text = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
        parts.append(f' {key.rstrip("_").replace("_", "-")}="{escape(text)}"')
    return f"<{name}{''.join(parts)}>{''.join(children)}</{name}>"


def text(content: object, x: float, y: float, *, anchor: str = "start", class_: str = "tick") -> str:
    """A line of text."""
    return element("text", escape(str(content)), x=float(x), y=float(y), text_anchor=anchor, class_=class_)


def titled(shape: str, content: str) -> str:
    """A shape that shows `content` under the pointer."""
    return element("g", element("title", escape(content)), shape)


def svg(width: int, height: int, children: Iterable[str], label: str) -> str:
    """A figure that grows and shrinks with the page; `label` is read to those who do not see it."""
    return element(
        "svg", *children, viewBox=f"0 0 {width} {height}", role="img", aria_label=label, class_="chart",
        preserveAspectRatio="xMidYMid meet",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scale:
    """Values low … high onto pixels start … stop."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        span = self.high - self.low or 1.0
        return self.start + (value - self.low) / span * (self.stop - self.start)

    def ticks(self, n: int = 5) -> list[float]:
        """About n round values within."""
        span = self.high - self.low
        if not isfinite(span) or span <= 0:
            return [self.low]
        raw = span / n
        power = 10.0 ** floor(log10(raw))
        step = next(power * k for k in (1, 2, 5, 10) if power * k >= raw * 0.999)
        first = -int(-self.low / step // 1) if self.low < 0 else -int(-self.low // step)
        return [k * step for k in range(first, first + 2 * n + 2) if self.low - 1e-9 <= k * step <= self.high + 1e-9]


def number(value: float) -> str:
    """Short: 12,000 or 0.05 or 1.2e-06."""
    if value == 0:
        return "0"
    if abs(value) < 1e-3:
        return f"{value:.1e}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def bottom_axis(scale: Scale, y: float, title: str = "") -> list[str]:
    """Ticks, numbers and a title below."""
    parts = [element("line", x1=scale.start, x2=scale.stop, y1=y, y2=y, class_="axis")]
    for tick in scale.ticks():
        x = scale(tick)
        parts += [
            element("line", x1=x, x2=x, y1=y, y2=y + 4, class_="axis"),
            text(number(tick), x, y + 16, anchor="middle"),
        ]
    if title:
        parts.append(text(title, (scale.start + scale.stop) / 2, y + 33, anchor="middle", class_="title"))
    return parts


def left_axis(scale: Scale, x: float, stop: float, title: str = "", *, per_cent: bool = False) -> list[str]:
    """Numbers to the left and faint lines across to `stop`."""
    parts = []
    for tick in scale.ticks(4):
        y = scale(tick)
        shown = f"{100 * tick:.3g} %" if per_cent else number(tick)
        parts += [element("line", x1=x, x2=stop, y1=y, y2=y, class_="grid"), text(shown, x - 6, y + 4, anchor="end")]
    if title:
        parts.append(text(title, x, scale.stop - 8, class_="title"))
    return parts


def polyline(xs: Sequence[float], ys: Sequence[float], class_: str) -> str:
    """A line through points in pixels."""
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))
    return element("polyline", points=points, class_=f"line {class_}")


def legend(entries: Sequence[tuple[str, str]], x: float, y: float) -> list[str]:
    """Swatches with names, side by side."""
    parts = []
    for class_, name in entries:
        parts += [
            element("rect", x=x, y=y - 9, width=12, height=10, class_=class_),
            text(name, x + 17, y, class_="key"),
        ]
        x += 34 + 7.2 * len(name)
    return parts
