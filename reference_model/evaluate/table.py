"""An evaluation as tables in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from wyckoffkit.metrics import Estimate

from .distance import EmbeddingResult
from .measure import Evaluation

SHOWN_REASONS = 10
# What is no share of materials, so not shown in per cent.
PLAIN = {
    "collision probability": ".2e",
    "prototype collision probability": ".2e",
    "training label over held-out label": ".3g",
    "novel a minute": ",.0f",
}


def show(evaluation: Evaluation, console: Console) -> None:
    """Print what was measured."""
    samples, reference = evaluation.samples, evaluation.reference
    console.print(
        f"{samples.n_lines:,} samples from {samples.source} against {reference.n:,} materials of {reference.source}",
        highlight=False,
    )
    table = Table("measure", "value", "95 % interval", "real data", "of", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, estimate in evaluation.metrics.items():
        line = evaluation.lines.get(name)
        table.add_row(name, *cells(name, estimate), cells(name, line)[0] if line else "", f"{estimate.n:,}")
    if evaluation.embedding is not None:
        _add_embedding(table, evaluation.embedding)
    for name, found in evaluation.divergences.items():
        js = found.jensen_shannon
        interval = f"{js.low:.4f} … {js.high:.4f}"
        table.add_row(f"{name}: Jensen–Shannon, bits", f"{js.value:.4f}", interval, f"{found.floor:.4f}", f"{js.n:,}")
    console.print(table)
    _show_failures(evaluation, console)
    for note in evaluation.notes:
        console.print(note, highlight=False)


def cells(name: str, estimate: Estimate) -> tuple[str, str]:
    """(value, interval) as text: per cent unless the measure is no share."""
    if name in PLAIN:
        form = PLAIN[name]
        return f"{estimate.value:{form}}", f"{estimate.low:{form}} … {estimate.high:{form}}"
    return f"{100 * estimate.value:.2f} %", f"{100 * estimate.low:.2f} … {100 * estimate.high:.2f}"


def _add_embedding(table: Table, found: EmbeddingResult) -> None:
    """The last column but one holds what real data shows: the floor at this size, or the held-out anchor."""

    def add(name: str, estimate: Estimate, line: str = "") -> None:
        interval = f"{estimate.low:.4f} … {estimate.high:.4f}"
        table.add_row(name, f"{estimate.value:.4f}", interval, line, f"{estimate.n:,}")

    for title, result in (("FWD", found.fwd), ("FWD of the novel", found.fwd_novel)):
        if result is not None:
            add(f"{title}, raw", result.raw, f"{result.floor:.4f}")
            add(f"{title}, corrected", result.corrected, "0")
            add(f"{title}, infinite samples", result.infinite, "0")
    for name, estimate in found.lines.items():
        add(f"FWD, raw, of real data: {name}", estimate)
    add("kernel distance (MMD², cubic)", found.kernel, "0")
    for name in ("precision", "recall", "density", "coverage"):
        add(name, getattr(found.overlap, name))
    for quantile in ("Q10", "Q50", "Q90"):
        training = found.energies["training"][quantile].value
        for kind in ("all", "novel"):
            add(f"formation energy {quantile}, {kind}, eV/atom", found.energies[kind][quantile], f"{training:.4f}")


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
