"""Drawing, writing and telling, once the options are known."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from wyckoffkit import WyckoffkitError

from ..conditioning import Request
from .conditioned import Fulfilment, filters, iterate_request
from .draw import Sample, Tally, iterate
from .model import Model, load_model
from .output import FileWriter, LineWriter

# Uniqueness is counted over the first so many samples, to keep memory constant.
UNIQUE_OVER = 1_000_000


def run(
    checkpoint: Path | None,
    n: int,
    out: Path | None,
    *,
    seed: int = 0,
    sampler: str = "auto",
    n_steps: int = 100,
    batch_size: int = 512,
    space_groups: Sequence[int] | None = None,
    novel_only: bool = False,
    conditions: Mapping[str, Any] | None = None,
    device: str = "cpu",
    force: bool = False,
    console: Console,
) -> None:
    """Write n samples to `out` (labels to standard output without it) and one line of figures to the console."""
    model = load_model(checkpoint, device)
    chosen = {
        "n": n,
        "seed": seed,
        "sampler": sampler,
        "n_steps": n_steps,
        "space_groups": list(space_groups) if space_groups else None,
        "novel_only": novel_only,
        "conditions": {name: value for name, value in (conditions or {}).items() if value is not None},
    }
    writer: LineWriter | FileWriter
    if out is None or str(out) == "-":
        writer = LineWriter(sys.stdout)
    else:
        arguments = {**chosen, "model": _digest(model), "profile": model.checkpoint.profile}
        writer = FileWriter(out, arguments, force=force)
    try:
        _draw_and_write(model, writer, console, {**chosen, "batch_size": batch_size})
    finally:
        writer.close()


def _digest(model: Model) -> str:
    """SHA-256 of the weights, so that only the same model continues a file."""
    sha = hashlib.sha256()
    for name, tensor in sorted(model.network.state_dict().items()):
        sha.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()


def _draw_and_write(model: Model, writer: LineWriter | FileWriter, console: Console, options: dict[str, Any]) -> None:
    n = options.pop("n")
    tally, fulfilment = Tally(**writer.counts), Fulfilment()
    begun, kept_before, novel_before = time.monotonic(), writer.written, tally.novel
    distinct = {hash(label) for label in writer.labels()}
    block: list[Sample] = []
    size = options["batch_size"]
    with _bar(console) as bar:
        task = bar.add_task("", total=n, completed=writer.written, speed="")
        ahead = _Ahead(bar, task, writer.written)
        samples = _samples(model, n - writer.written, writer.next_number, tally, fulfilment, ahead, options)
        for item in samples:
            block.append(item)
            if tally.kept <= UNIQUE_OVER:
                distinct.add(hash(item.label))
            if len(block) == size or tally.kept == n:
                writer.write(block, asdict(tally))
                block = []
                minutes = (time.monotonic() - begun) / 60
                ahead.reached(
                    tally.kept,
                    f"{(tally.kept - kept_before) / minutes:.0f} a minute, "
                    f"{(tally.novel - novel_before) / minutes:.0f} novel",
                )
    writer.finish()
    console.print(_summary(tally, len(distinct), time.monotonic() - begun), highlight=False)
    if fulfilment.probability:
        console.print(str(fulfilment), highlight=False)


def _samples(
    model: Model,
    n: int,
    first: int,
    tally: Tally,
    fulfilment: Fulfilment,
    ahead: _Ahead,
    options: dict[str, Any],
) -> Iterator[Sample]:
    """By any sampler where nothing but space groups and novelty is asked for, else by particles."""
    options = dict(options)
    conditions = dict(options.pop("conditions"))
    if not conditions:
        return iterate(model, n, first=first, tally=tally, progress=ahead.within, **options)
    if options["sampler"] not in ("auto", "jump"):
        raise WyckoffkitError(f"conditions are met by the jump sampler, not by {options['sampler']}")
    wanted = filters(
        model,
        novel=options["novel_only"],
        no_collapse=conditions.pop("no_collapse", False),
        charge_neutral=conditions.pop("charge_neutral", False),
    )
    request = Request.of(space_group=options["space_groups"], **conditions)
    return iterate_request(
        model, n, request, wanted=wanted, seed=options["seed"], first=first, tally=tally, fulfilment=fulfilment
    )


class _Ahead:
    """Moves the bar inside a batch too: slow samplers take minutes for one."""

    def __init__(self, bar: Progress, task: TaskID, done: int) -> None:
        self.bar, self.task, self.done = bar, task, done

    def within(self, finished: int) -> None:
        self.bar.update(self.task, completed=self.done + finished)

    def reached(self, done: int, speed: str) -> None:
        self.done = done
        self.bar.update(self.task, completed=done, speed=speed)


def _bar(console: Console) -> Progress:
    columns = (
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)


def _summary(tally: Tally, n_distinct: int, seconds: float) -> str:
    if tally.kept == 0:
        return "0 samples"
    counted = min(tally.kept, UNIQUE_OVER)
    seen = tally.drawn - tally.invalid
    over = "" if counted == tally.kept else f" of the first {counted}"
    return (
        f"{tally.kept} samples in {seconds:.1f} s ({60 * tally.kept / max(seconds, 1e-9):.0f} a minute): "
        f"valid {100 * seen / tally.drawn:.1f} % ({tally.invalid} invalid, drawn again), "
        f"unique {100 * n_distinct / counted:.1f} %{over}, "
        f"novel {100 * tally.novel / seen:.1f} %, "
        f"with a novel prototype {100 * tally.novel_prototypes / seen:.1f} %"
    )
