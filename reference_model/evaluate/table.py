"""An evaluation as tables in the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from wyckoffkit.metrics import Estimate

from ..fwd import alike
from ..measures import PLAIN
from .distance import EmbeddingResult
from .measure import Evaluation

if TYPE_CHECKING:
    from .bits import Likelihoods

SHOWN_REASONS = 10
UNKNOWN = "–"


def show(evaluation: Evaluation, console: Console) -> None:
    """Print what was measured."""
    samples, reference = evaluation.samples, evaluation.reference
    console.print(
        f"{samples.n_lines:,} samples from {samples.source} against {reference.n:,} materials of {reference.source}",
        highlight=False,
    )
    table = Table("measure", "value", "95 % interval", "held-out", "resampled", "of", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    lines, resampled = evaluation.lines, evaluation.resampled
    for name, estimate in evaluation.metrics.items():
        line = cells(name, lines[name])[0] if name in lines else ""
        again = shown(name, resampled[name]) if name in resampled else ""
        table.add_row(name, *cells(name, estimate), line, again, f"{estimate.n:,}")
    if evaluation.embedding is not None:
        _add_embedding(table, evaluation.embedding)
    if evaluation.likelihoods is not None:
        _add_bits(table, evaluation.likelihoods)
    for name, found in evaluation.divergences.items():
        js = found.jensen_shannon
        interval = f"{js.low:.4f} … {js.high:.4f}"
        floor = f"{found.floor:.4f}"
        table.add_row(f"{name}: Jensen–Shannon, bits", f"{js.value:.4f}", interval, "", floor, f"{js.n:,}")
    console.print(table)
    console.print(
        "held-out: real data outside the training set; resampled: the training set drawn with replacement",
        highlight=False,
    )
    foreseen = {name: line for name, line in lines.items() if name.startswith("Good–Turing")}
    for name, foretold in foreseen.items():
        share = shown(name, foretold.value)
        console.print(f"{name}, as the training data foresee of real data: {share}", highlight=False)
    if evaluation.sweep:
        _show_sweep(evaluation.sweep, console)
    _show_failures(evaluation, console)
    for note in evaluation.notes:
        console.print(note, highlight=False)


def cells(name: str, estimate: Estimate) -> tuple[str, str]:
    """(value, interval) as text: per cent unless the measure is no share."""
    if math.isnan(estimate.value):
        return UNKNOWN, ""
    if name in PLAIN:
        return shown(name, estimate.value), f"{shown(name, estimate.low)} … {shown(name, estimate.high)}"
    return shown(name, estimate.value), f"{100 * estimate.low:.2f} … {100 * estimate.high:.2f}"


def shown(name: str, value: float) -> str:
    """A number as text."""
    if math.isinf(value):
        return "∞"
    return f"{value:{PLAIN[name]}}" if name in PLAIN else f"{100 * value:.2f} %"


def decimal(value: float | None) -> str:
    """Four decimals; a dash for what could not be measured."""
    return UNKNOWN if value is None or math.isnan(value) else f"{value:.4f}"


def _add_embedding(table: Table, found: EmbeddingResult) -> None:
    """Raw distances stand beside the held-out one only where that is of about as many materials."""

    def add(name: str, estimate: Estimate, held_out: Any = None, resampled: str = "") -> None:
        interval = f"{decimal(estimate.low)} … {decimal(estimate.high)}"
        line = decimal(held_out["value"]) if held_out else ""
        table.add_row(name, decimal(estimate.value), interval, line, resampled, f"{estimate.n:,}")

    for title, key, result in (("FWD", "fwd", found.fwd), ("FWD of the novel", "fwd_of_novel", found.fwd_novel)):
        if result is not None:
            line = found.held_out.get(key) or dict.fromkeys(("raw", "corrected", "infinite"))
            same_size = line["raw"] is not None and alike(line["raw"]["n"], result.raw.n)
            add(f"{title}, raw", result.raw, line["raw"] if same_size else None, f"{result.floor:.4f}")
            add(f"{title}, corrected", result.corrected, line["corrected"], "0")
            add(f"{title}, infinite samples", result.infinite, line["infinite"], "0")
    for name, estimate in found.anchors.items():
        add(f"FWD, raw, of real data of equal size: {name}", estimate)
    add("kernel distance (MMD², cubic)", found.kernel, found.held_out.get("kernel_distance"), "0")
    for name in ("precision", "recall", "density", "coverage"):
        add(name, getattr(found.overlap, name), found.held_out.get(name))
    real = found.held_out.get("predicted_formation_energy_ev_per_atom", {})
    for quantile in ("Q10", "Q50", "Q90"):
        training = f"{found.energies['training'][quantile].value:.4f}"
        for kind in ("all", "novel"):
            line = real.get(kind, {}).get(quantile)
            add(f"formation energy {quantile}, {kind}, eV/atom", found.energies[kind][quantile], line, training)


def _add_bits(table: Table, found: Likelihoods) -> None:
    named = {f"bits a material, {name}": estimate for name, estimate in found.bits.items()}
    for name, estimate in (named | {f"bits, {name}": e for name, e in found.differences.items()}).items():
        interval = f"{estimate.low:.2f} … {estimate.high:.2f}"
        table.add_row(name, f"{estimate.value:.2f}", interval, "0" if " less " in name else "", "", f"{estimate.n:,}")
    for name, n in found.beyond.items():
        if n:
            table.add_row(f"{name} to which the model gives no probability", f"{n:,}")


def _show_sweep(rows: Sequence[Mapping[str, Any]], console: Console) -> None:
    names = [name for name in rows[0] if name != "symprec"]
    table = Table("symprec, Å", *names, box=None, pad_edge=False)
    for row in rows:
        table.add_row(f"{row['symprec']:g}", *(f"{100 * row[name]['value']:.2f} %" for name in names))
    console.print(table)


def _show_failures(evaluation: Evaluation, console: Console) -> None:
    samples = evaluation.samples
    if samples.rejected:
        console.print(f"{len(samples.rejected):,} lines are no valid label:", highlight=False)
        for reason, count in list(samples.reasons.items())[:SHOWN_REASONS]:
            console.print(f"  {count:>6,}  {reason}", highlight=False, markup=False)
        if len(samples.reasons) > SHOWN_REASONS:
            console.print(f"  and {len(samples.reasons) - SHOWN_REASONS:,} more reasons (all in --json)")
    if evaluation.reference.n_rejected:
        console.print(f"{evaluation.reference.n_rejected:,} lines of the reference are no label and were left out")
