"""Draws the pictures of docs/concepts.md from the tables: `python docs/figures/draw.py [--check]`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from wyckoffkit import SpaceGroup, encode, parse_label
from wyckoffkit.elements import SYMBOLS
from wyckoffkit.operations import primitive_sites

HERE = Path(__file__).parent
STYLE = """
text{font:13px system-ui,sans-serif;fill:#24292f}.small{font-size:11px}.faint{fill:#6e7781}
.line{stroke:#8c959f;fill:none}.cell{stroke:#8c959f;fill:none}.held{fill:#0969da}.held-text{fill:#fff}
@media(prefers-color-scheme:dark){text{fill:#d0d7de}.faint{fill:#8c959f}.held{fill:#388bfd}.held-text{fill:#fff}}
"""
COLOURS = ("#cf222e", "#bf8700", "#1a7f37", "#0969da", "#8250df", "#d15704", "#6e7781")


def svg(width: int, height: int, title: str, parts: Iterable[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{title}">'
    return "\n".join([head, f"<style>{STYLE}</style>", *parts, "</svg>", ""])


def text(x: float, y: float, content: object, kind: str = "", anchor: str = "middle") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" class="{kind}">{content}</text>'


def positions_picture() -> str:
    """P4mm (99) seen along c: an orbit on each of its positions, with x = 0.18, y = 0.36."""
    group, size, left, top = SpaceGroup.from_number(99), 300, 20, 20
    parts = [f'<rect class="cell" x="{left}" y="{top}" width="{size}" height="{size}"/>']
    free = np.array([0.18, 0.36, 0.0])
    for row, position in enumerate(group.positions):
        colour = COLOURS[row]
        matrices, offsets = primitive_sites(99, position.letter)
        sites = (matrices @ free + offsets / 24) % 1
        for x, y in sites[:, :2].tolist():
            # what lies on an edge of the cell is there once on each side
            for ex in (x, 1.0) if x == 0 else (x,):
                for ey in (y, 1.0) if y == 0 else (y,):
                    parts.append(f'<circle cx="{left + ey * size:g}" cy="{top + ex * size:g}" r="7" fill="{colour}"/>')
        y_text = top + 24 + 40 * row
        parts.append(f'<circle cx="{left + size + 40}" cy="{y_text - 5}" r="7" fill="{colour}"/>')
        name = f"{position.multiplicity}{position.letter} · {position.site_symmetry}"
        words = f"{name} · ({position.coordinates}) · {position.dof} free"
        parts.append(text(left + size + 58, y_text, words, anchor="start"))
    return svg(620, size + 2 * top, "One orbit on each Wyckoff position of P4mm", parts)


def tensor_picture() -> str:
    """The tensors of the README's crystal: one row a position, an element or counts by element."""
    protostructure = parse_label("AB6C_hR24_166_a_h_b:Cs-F-Sn")
    group, arrays = protostructure.space_group, encode(protostructure)
    parts = [text(20, 24, "R-3m (166): s = 166", anchor="start")]
    parts.append(text(20, 54, "z⁰: an element or nothing (–)", "faint small", "start"))
    for row, (position, element) in enumerate(zip(group.constrained, arrays.constrained, strict=True)):
        x = 20 + 62 * row
        parts += box(x, 64, 52, SYMBOLS[element] if element else "–", bool(element))
        parts.append(text(x + 26, 112, f"{position.multiplicity}{position.letter}", "small"))
    parts.append(text(20, 146, "z∞: a count for each element", "faint small", "start"))
    shown = [3, 8, 9, 50, 55]
    for column, element in enumerate(shown):
        parts.append(text(112 + 46 * column, 168, SYMBOLS[element], "small"))
    parts.append(text(112 + 46 * len(shown), 168, "…", "small"))
    for row, position in enumerate(group.unconstrained):
        y = 176 + 32 * row
        parts.append(
            text(20, y + 20, f"{position.multiplicity}{position.letter}, {position.dof} free", "small", "start")
        )
        for column, element in enumerate(shown):
            count = int(arrays.unconstrained[row, element - 1])
            parts += box(92 + 46 * column, y, 40, count, count > 0, 26)
    return svg(400, 350, "The tensor form of CsSnF6", parts)


def box(x: float, y: float, width: float, content: object, held: bool, height: float = 32) -> list[str]:
    kind = "held" if held else "cell"
    return [
        f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="4"/>',
        text(x + width / 2, y + height / 2 + 5, content, "held-text" if held else "faint"),
    ]


def birth_picture() -> str:
    """The same crystal born slot by slot: three network calls, where a clocked reverse process takes a thousand."""
    frames = [{}, {"h": "F"}, {"h": "F", "a": "Cs"}, {"h": "F", "a": "Cs", "b": "Sn"}]
    parts = []
    for column, held in enumerate(frames):
        x = 20 + 190 * column
        for row, position in enumerate(SpaceGroup.from_number(166).positions):
            parts.append(text(x, 40 + 28 * row, f"{position.multiplicity}{position.letter}", "small", "start"))
            parts += box(x + 34, 22 + 28 * row, 46, held.get(position.letter, "–"), position.letter in held, 24)
        parts.append(text(x + 40, 300, f"{len(frames) - 1 - column} to come", "faint small"))
        if column + 1 < len(frames):
            parts.append(f'<path class="line" d="M{x + 96},150 h64 m-8,-5 l8,5 l-8,5"/>')
            parts.append(text(x + 128, 140, "one call", "small faint"))
    return svg(720, 320, "A crystal is born slot by slot", parts)


PICTURES = {"positions.svg": positions_picture, "tensors.svg": tensor_picture, "birth.svg": birth_picture}


def main() -> int:
    check, stale = "--check" in sys.argv, []
    for name, draw in PICTURES.items():
        path, content = HERE / name, draw()
        if check:
            stale += [] if path.exists() and path.read_text(encoding="utf-8") == content else [name]
        else:
            path.write_text(content, encoding="utf-8")
    if stale:
        sys.stderr.write(f"not as drawn: {', '.join(stale)}; run python docs/figures/draw.py\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
