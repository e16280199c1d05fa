"""The page: an evaluation's JSON in, one HTML file out, which loads nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from . import charts, periodic, tables

STYLE = Path(__file__).with_name("style.css")
ATOM_BINS = (2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 24, 28, 32, 36, 40, 48, 56, 64, 80, 96, 128, 192, 400)


def render(content: Mapping[str, Any]) -> str:
    """The report of one evaluation, as `Evaluation.to_dict` gives it (and JSON keeps it)."""
    samples, reference = content["samples"], content["reference"]
    intro = (
        f"<p>{samples['lines']:,} samples from <code>{escape(str(samples['source']))}</code>, measured against "
        f"{reference['materials']:,} materials of <code>{escape(Path(str(reference['source'])).name)}</code>. "
        "Intervals hold 95 %.</p>"
        "<p><b class='key-real'>┃</b> <i>Held-out</i> is what real materials reach that are not in the training data: "
        "a good generator comes near it, and passing it is no merit by itself. "
        "<b class='key-again'>┃</b> <i>Resampled</i> is the training set, drawn with replacement as a generator draws: "
        "one that knows its training data by heart and nothing else.</p>"
    )
    parts = [
        "<h1>Generated protostructures</h1>",
        intro,
        tables.measures(content, tables.HEADLINE, with_fwd=True),
        *_embedding(content["embedding"]),
        *_likelihoods(content["likelihoods"]),
        *_distributions(content),
        "<h2>How soon samples repeat</h2>",
        *_repeats(content["rarefaction"]),
        *_gallery(content["gallery"]),
        "<h2>All measures</h2>",
        tables.measures(content, list(content["metrics"])),
        _forecast(content["lines"]),
        *_sweep(content["symprec_sweep"]),
        "<h2>Lines that are no protostructure</h2>",
        tables.failures(samples),
        *_method(content),
    ]
    return page("Generated protostructures", parts)


def page(title: str, parts: Iterable[str], *, shape: str = "") -> str:
    """A document around the parts, with the style inside; `broad` is for wide tables."""
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><style>\n{STYLE.read_text(encoding='utf-8')}</style></head>\n"
        f"<body><main class='{shape}'>\n" + "\n".join(parts) + "\n</main></body></html>\n"
    )


def _figure(chart: str, caption: str, *, shape: str = "scroll") -> str:
    """`scroll`: on a phone the chart keeps its size and scrolls; `narrow`: it fits as it is."""
    return f"<figure><div class='{shape}'>{chart}</div><figcaption>{caption}</figcaption></figure>"


def _embedding(found: Mapping[str, Any] | None) -> list[str]:
    if found is None:
        return []
    rows, held_out = [], found["held_out"]
    for key, name, class_ in (("fwd", "all", "ours"), ("fwd_of_novel", "novel", "novel")):
        if found[key] is not None:
            rows.append((f"{name} samples", found[key]["corrected"], class_))
            if held_out.get(key):
                rows.append((f"{name} held-out", held_out[key]["corrected"], "held"))
    return [
        "<h2>Fréchet Wrenformer distance</h2>",
        _figure(
            charts.intervals(rows, {}, "FWD, corrected (0: a perfect generator)"),
            "<i>Raw</i> distances rise as samples get fewer; <i>corrected</i> ones have the expected rise taken out, "
            "<i>infinite</i> ones are extrapolated. Only distances of one extractor compare.",
            shape="narrow",
        ),
        tables.distances(found),
        _anchors(found["anchors"]),
        "<h2>Predicted formation energies</h2>",
        _figure(
            charts.energies(found["energy_histogram"], found["predicted_formation_energy_ev_per_atom"]),
            "Shares of materials by the formation energy that the extractor predicts. Ticks below: 10 %, 50 % and 90 % "
            "quantiles. What lies beyond the axis is counted at its ends.",
        ),
    ]


def _likelihoods(found: Mapping[str, Any] | None) -> list[str]:
    if found is None:
        return []
    classes = {"samples": "ours", "held-out": "held", "training": "theirs"}
    rows = [(name, row, classes[name]) for name, row in found["bits_a_material"].items()]
    said = "; ".join(
        f"{escape(name)} {row['value']:.2f} ({row['low']:.2f} … {row['high']:.2f})"
        for name, row in found["differences"].items()
    )
    beyond = sum(found["beyond"].values())
    lost = f" The model gives {beyond:,} of them no probability; they are in no mean." if beyond else ""
    return [
        "<h2>Bits a material</h2>",
        _figure(
            charts.intervals(rows, {}, "-log2 p of the model, mean (less is likelier)", from_zero=False),
            f"{said}. Held-out less training is 0 for a model without memory; held-out less samples is 0 for one that "
            f"draws as widely as the data, below 0 for one that draws more widely.{lost}",
            shape="narrow",
        ),
    ]


def _anchors(anchors: Mapping[str, Any]) -> str:
    """Raw distances of real data at equal sizes, for readers who compare with other evaluations."""
    if not anchors:
        return ""
    said = "; ".join(f"{escape(name)}: {tables.plain(row['value'])}" for name, row in anchors.items())
    return f"<p class='soft'>Raw FWD of real data against as much real data: {said}.</p>"


def _distributions(content: Mapping[str, Any]) -> list[str]:
    found, n = content["distributions"], content["samples"]["valid"]
    n_reference = content["reference"]["materials"]

    def rows(name: str) -> list[tuple[str, float, float | None]]:
        theirs = [row["reference"] for row in found[name].values()]
        total, whole = sum(row["samples"] for row in found[name].values()), sum(t or 0 for t in theirs)
        return [
            (category, row["samples"] / max(1, total), None if t is None else t / max(1, whole))
            for (category, row), t in zip(found[name].items(), theirs, strict=True)
        ]

    return [
        "<h2>Distributions</h2>",
        _figure(charts.bars(rows("crystal system"), "Crystal systems"), "Crystal systems."),
        _figure(
            charts.mirrored(rows("space group"), "Space groups", title="space groups that occur, by number"),
            "Space groups: samples above, training data below. Point at a column for its numbers.",
        ),
        _figure(
            periodic.heat_map(found["element"], n, n_reference),
            "Per cent of samples that hold each element. Blue: more often than in the training data, orange: less; "
            "full colour is four times.",
        ),
        _figure(
            charts.mirrored(_ended(rows("arity")), "Elements in a material", title="elements in a material"),
            "Different elements in a material.",
        ),
        _figure(
            charts.mirrored(
                _ended(_binned(rows("atoms"), ATOM_BINS)), "Atoms in the conventional cell", title="atoms in the cell"
            ),
            "Atoms in the conventional cell; each column reaches up to its number.",
        ),
        _figure(
            charts.mirrored(_ended(rows("orbits")), "Orbits", title="orbits in a material"),
            "Orbits: sets of symmetry-equivalent atoms.",
        ),
        _figure(
            charts.mirrored(_ended(rows("dof")), "Free coordinates", title="free coordinates"),
            "Free coordinates of all orbits.",
        ),
        tables.divergences(content["divergences"]),
        "<p class='soft'>The floor is the divergence that as many draws from the training data itself show.</p>",
    ]


Shares = list[tuple[str, float, float | None]]
SMALLEST = 0.002


def _ended(rows: Sequence[tuple[str, float, float | None]]) -> Shares:
    """With the thin tail, less than 0.2 % in each category, as one last category."""
    end = next((k for k in range(len(rows), 0, -1) if max(rows[k - 1][1], rows[k - 1][2] or 0.0) >= SMALLEST), 0)
    tail = rows[end:]
    if len(tail) < 2:
        return list(rows)
    known = any(theirs is not None for _, _, theirs in tail)
    theirs = sum(theirs or 0.0 for _, _, theirs in tail) if known else None
    return [*rows[:end], ("more", sum(ours for _, ours, _ in tail), theirs)]


def _binned(
    rows: Sequence[tuple[str, float, float | None]], bins: Sequence[int]
) -> list[tuple[str, float, float | None]]:
    totals = [[0.0, 0.0] for _ in bins]
    for name, ours, theirs in rows:
        k = next(i for i, top in enumerate(bins) if int(name) <= top)
        totals[k][0] += ours
        totals[k][1] += theirs or 0.0
    known = any(theirs is not None for _, _, theirs in rows)
    return [(f"≤{top}", ours, theirs if known else None) for top, (ours, theirs) in zip(bins, totals, strict=True)]


def _repeats(curves: Mapping[str, Any]) -> list[str]:
    """Labels and prototypes on scales of their own."""
    labels = (
        ("labels", "ours", "samples"),
        ("held-out labels", "held", "held-out"),
        ("resampled labels", "theirs", "resampled"),
    )
    prototypes = (
        ("prototypes", "ours", "samples"),
        ("prototypes among the novel", "novel", "novel samples"),
        ("novel prototypes among the novel", "third", "new ones among the novel"),
        ("held-out prototypes", "held", "held-out"),
        ("resampled prototypes", "theirs", "resampled"),
    )
    return [
        _figure(
            charts.rarefaction(curves, labels, "labels drawn", repeats=True),
            "Labels that repeat an earlier one, expected among so many (rarefaction).",
        ),
        _figure(
            charts.rarefaction(curves, prototypes, "prototypes drawn"), "Distinct prototypes expected among so many."
        ),
    ]


def _gallery(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    if not entries:
        return []
    return [
        "<h2>Some samples</h2>",
        "<p>Drawn at random from the distinct ones, novel ones first.</p>",
        tables.gallery(entries),
        "<h2>The positions they occupy</h2>",
        tables.positions(entries),
    ]


def _sweep(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    if not rows:
        return []
    names = [name for name in rows[0] if name != "symprec"]
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(
        f"<tr><td>{row['symprec']:g}</td>"
        + "".join(f"<td>{tables.share(row[n]['value'])}</td>" for n in names)
        + "</tr>"
        for row in rows
    )
    return [
        "<h2>By the tolerance of the symmetry search</h2>",
        f"<div class='wide'><table><tr><th>symprec, Å</th>{head}</tr>{body}</table></div>",
    ]


def _forecast(lines: Mapping[str, Any]) -> str:
    """Good and Turing's forecast, the other reference line for novelty."""
    found = {name.removeprefix("Good–Turing "): row for name, row in lines.items() if name.startswith("Good–Turing")}
    if not found:
        return ""
    said = "; ".join(f"{tables.share(row['value'])} {escape(name)}" for name, row in found.items())
    return (
        f"<p class='soft'>Good and Turing foresee, from the training data alone, that fresh real data holds {said}.</p>"
    )


def _method(content: Mapping[str, Any]) -> list[str]:
    embedding, reference = content["embedding"] or {}, content["reference"]
    pairs = {
        "command": content["command"],
        "seed": str(content["seed"]),
        "canonical profile": content["profile"],
        "symprec, Å": content["samples"]["symprec"],
        "tables (SHA-256)": content["table_digest"],
        "reference (SHA-256 of its labels)": reference["key"],
        "FWD is the": embedding.get("definition"),
        "extractor (SHA-256)": embedding.get("digest"),
        "versions": ", ".join(f"{name} {version}" for name, version in content["versions"].items()),
        "reference from": ", ".join(f"{k}: {v}" for k, v in reference["provenance"].items() if k != "labels"),
    }
    notes = "".join(f"<p>{escape(note)}.</p>" for note in content["notes"])
    return ["<h2>How this was computed</h2>", tables.facts(pairs), notes]
