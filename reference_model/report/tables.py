"""The tables and cards of a report: measures with intervals, rejected lines, the gallery and its Wyckoff positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from wyckoffkit import SpaceGroup, parse_label

from ..fwd import alike
from ..measures import MEMORY, PLAIN
from .charts import strip
from .figure import number

NEIGHBOUR_SHARES = ("precision", "recall", "coverage")
HEADLINE = (
    "valid",
    "unique",
    "novel",
    "valid, unique and novel, of all lines",
    "samples with a novel prototype",
    MEMORY,
    "labels that collapse into a supergroup",
    "compositions that SMACT accepts",
)


def share(value: float | None) -> str:
    """Per cent."""
    return "–" if value is None else f"{100 * value:.2f} %"


def plain(value: float | None) -> str:
    """A number that is no share."""
    return "–" if value is None else "∞" if value == float("inf") else number(value)


def measures(content: Mapping[str, Any], names: Sequence[str], *, with_fwd: bool = False) -> str:
    """Value, interval, what held-out data and the resampled training set show, and how many it was measured on."""
    metrics, lines, resampled = content["metrics"], content["lines"], content["resampled"]
    rows = [
        _row(name, metrics[name], (lines.get(name) or {}).get("value"), resampled.get(name), name in PLAIN)
        for name in names
        if name in metrics
    ]
    if with_fwd and content["embedding"]:
        rows += _distances(content["embedding"], ("corrected",))
    return _table(rows)


def _distances(found: Mapping[str, Any], kinds: Sequence[str]) -> list[str]:
    """FWD of all and of the novel samples; a raw one stands beside held-out data only where that is as many."""
    rows = []
    for key, title in (("fwd", "FWD"), ("fwd_of_novel", "FWD of the novel")):
        for kind in kinds if found[key] else ():
            row, line = found[key][kind], (found["held_out"].get(key) or {}).get(kind)
            if kind == "raw" and line and not alike(line["n"], row["n"]):
                line = None
            again = None if key != "fwd" else found[key]["floor"] if kind == "raw" else 0.0
            rows.append(_row(f"{title}, {kind}", row, line["value"] if line else None, again, True))
    return rows


def distances(found: Mapping[str, Any]) -> str:
    """FWD raw, corrected and of infinite samples, kernel distance, precision, recall, density and coverage."""
    rows = _distances(found, ("raw", "corrected", "infinite"))
    for key in ("kernel_distance", "precision", "recall", "density", "coverage"):
        line, again = found["held_out"].get(key, {}).get("value"), 0.0 if key == "kernel_distance" else None
        rows.append(_row(key.replace("_", " "), found[key], line, again, key not in NEIGHBOUR_SHARES))
    return _table(rows)


def _row(name: str, found: Mapping[str, Any], held_out: float | None, resampled: float | None, is_plain: bool) -> str:
    show = plain if is_plain else share
    picture = ""
    if not is_plain and found["value"] is not None:
        picture = strip(found["value"], found["low"], found["high"], held_out, resampled)
    low = show(found["low"]) if is_plain else show(found["low"]).removesuffix(" %")
    value = show(found["value"])
    if name == MEMORY:  # infinite, which JSON has not, where no held-out label was drawn: so it is for the training set
        value, resampled = ("∞" if found["value"] is None and found["n"] else value), float("inf")
    real, again = ("" if line is None else show(line) for line in (held_out, resampled))
    return (
        f"<tr><td>{escape(name)}</td><td>{value}</td><td>{real}</td><td>{again}</td>"
        f"<td>{low} … {show(found['high'])}</td><td class='strip'>{picture}</td><td>{found['n']:,}</td></tr>"
    )


def _table(rows: Sequence[str]) -> str:
    head = (
        "<tr><th>measure</th><th>value</th><th>held-out</th><th>resampled</th><th>95 % interval</th>"
        "<th class='strip'></th><th>of</th></tr>"
    )
    return f"<div class='wide'><table>{head}{''.join(rows)}</table></div>"


def divergences(found: Mapping[str, Any]) -> str:
    """Jensen–Shannon with its floor, Wasserstein and χ² of each distribution."""
    rows = []
    for name, row in found.items():
        js, distance = row["jensen_shannon_bits"], row["wasserstein"]
        chi = "–" if row["chi_squared"] is None else f"{row['chi_squared']:,.0f} / {row['degrees_of_freedom']}"
        rows.append(
            f"<tr><td>{escape(name)}</td><td>{plain(js['value'])}</td><td>{plain(js['low'])} … {plain(js['high'])}</td>"
            f"<td>{plain(js['floor'])}</td><td>{'' if distance is None else plain(distance['value'])}</td>"
            f"<td>{chi}</td></tr>"
        )
    head = (
        "<tr><th>distribution</th><th>Jensen–Shannon, bits</th><th>95 % interval</th><th>floor</th>"
        "<th>Wasserstein</th><th>χ² / d.o.f.</th></tr>"
    )
    return f"<div class='wide'><table>{head}{''.join(rows)}</table></div>"


def failures(samples: Mapping[str, Any], largest: int = 12) -> str:
    """Reasons of rejected lines, the most frequent first, with the first line of each."""
    if not samples["rejected"]:
        return "<p>Every line is a valid label.</p>"
    first: dict[str, Mapping[str, Any]] = {}
    for rejection in samples["rejected"]:
        first.setdefault(rejection["reason"], rejection)
    rows = "".join(
        f"<tr><td>{escape(reason)}</td><td>{count:,}</td><td>{first[reason]['line']}</td>"
        f"<td><code>{escape(first[reason]['text'][:60])}</code></td></tr>"
        for reason, count in list(samples["reasons"].items())[:largest]
    )
    head = "<tr><th>reason</th><th>lines</th><th>first line</th><th>its text</th></tr>"
    more = len(samples["reasons"]) - largest
    rest = f"<p class='soft'>And {more:,} more reasons, all in the JSON.</p>" if more > 0 else ""
    return f"<div class='wide'><table>{head}{rows}</table></div>{rest}"


def formula(composition: Mapping[str, int]) -> str:
    """With subscripts."""
    return "".join(escape(e) + (f"<sub>{n}</sub>" if n > 1 else "") for e, n in composition.items())


def gallery(entries: Sequence[Mapping[str, Any]]) -> str:
    """A card a sample; its space group leads to the positions below."""
    cards = []
    for entry in entries:
        group = parse_label(entry["label"]).space_group.number
        tags = [("tag", "novel") if entry["novel"] else ("tag known", "in the training data")]
        if entry["novel_prototype"]:
            tags.append(("tag", "novel prototype"))
        energy = entry["predicted_formation_energy"]
        lines = [
            f"<b>{formula(entry['composition'])}</b> <a href='#group-{group}'>{escape(entry['space_group'])}</a>",
            f"<code>{escape(entry['label'])}</code>",
            "".join(f"<span class='{class_}'>{name}</span>" for class_, name in tags),
        ]
        if energy is not None:
            lines.append(f"<span class='soft'>predicted {energy:.3f} eV/atom</span>")
        cards.append(f"<li>{'<br>'.join(lines)}</li>")
    return f"<ul class='cards'>{''.join(cards)}</ul>"


def positions(entries: Sequence[Mapping[str, Any]]) -> str:
    """The Wyckoff positions that the gallery's samples occupy, by space group."""
    occupied: dict[int, dict[str, set[str]]] = {}
    for entry in entries:
        protostructure = parse_label(entry["label"])
        of_group = occupied.setdefault(protostructure.space_group.number, {})
        for orbit in protostructure.orbits:
            of_group.setdefault(orbit.letter, set()).add(orbit.element)
    rows = []
    for number_, letters in sorted(occupied.items()):
        group = SpaceGroup.from_number(number_)
        for i, position in enumerate(p for p in group if p.letter in letters):
            head = f"<td id='group-{number_}'>{escape(group.symbol)} ({number_})</td>" if i == 0 else "<td></td>"
            rows.append(
                f"<tr>{head}<td>{position.multiplicity}{position.letter}</td><td>{escape(position.site_symmetry)}</td>"
                f"<td>{position.dof}</td><td>{escape(position.coordinates)}</td>"
                f"<td>{escape(' '.join(sorted(letters[position.letter])))}</td></tr>"
            )
    head = (
        "<tr><th>space group</th><th>position</th><th>site symmetry</th><th>free</th><th>coordinates</th>"
        "<th>elements</th></tr>"
    )
    return f"<div class='wide'><table>{head}{''.join(rows)}</table></div>"


def facts(pairs: Mapping[str, Any]) -> str:
    """A list of what something was computed from."""
    return f"<dl>{''.join(f'<dt>{escape(k)}</dt><dd>{escape(str(v))}</dd>' for k, v in pairs.items() if v)}</dl>"
