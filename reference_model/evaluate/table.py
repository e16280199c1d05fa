"""An evaluation as tables in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from wyckoffkit.metrics import Estimate

from .measure import Evaluation

SHOWN_REASONS = 10
# Not shares of materials, so not shown in per cent.
PROBABILITIES = ("collision probability", "prototype collision probability")


def show(evaluation: Evaluation, console: Console) -> None:
    """Print what was measured."""
    samples, reference = evaluation.samples, evaluation.reference
    console.print(
        f"{samples.n_lines:,} samples from {samples.source} against {reference.n:,} materials of {reference.source}",
        highlight=False,
    )
    table = Table("measure", "value", "95 % interval", "floor", "of", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, estimate in evaluation.metrics.items():
        table.add_row(name, *_cells(name, estimate), "", f"{estimate.n:,}")
    for name, found in evaluation.divergences.items():
        estimate = found.estimate
        table.add_row(
            f"{name}: Jensen–Shannon, bits",
            f"{estimate.value:.4f}",
            f"{estimate.low:.4f} … {estimate.high:.4f}",
            f"{found.floor:.4f}",
            f"{estimate.n:,}",
        )
    console.print(table)
    if samples.rejected:
        console.print(f"{len(samples.rejected):,} lines are no valid label:", highlight=False)
        for reason, count in list(samples.reasons.items())[:SHOWN_REASONS]:
            console.print(f"  {count:>6,}  {reason}", highlight=False, markup=False)
        if len(samples.reasons) > SHOWN_REASONS:
            console.print(f"  and {len(samples.reasons) - SHOWN_REASONS:,} more reasons (all in --json)")
    if reference.n_rejected:
        console.print(f"{reference.n_rejected:,} lines of the reference are no label and were left out")


def _cells(name: str, estimate: Estimate) -> tuple[str, str]:
    if name in PROBABILITIES:
        return f"{estimate.value:.2e}", f"{estimate.low:.1e} … {estimate.high:.1e}"
    return f"{100 * estimate.value:.2f} %", f"{100 * estimate.low:.2f} … {100 * estimate.high:.2f}"
