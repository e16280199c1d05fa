"""Drawing, writing and telling, once the options are known."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ..model import Model, load_model
from ..reference import fingerprint
from ..train.processes import own_device, process_group, rank
from .asked import Conditions, iterate
from .conditioned import Fulfilment
from .draw import Sample, Tally
from .filters import Energies
from .output import FileWriter, LineWriter, NoWriter, Writer, check_destination
from .processes import from_first_process

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
    reweight: bool | None = None,
    distinct: bool = False,
    conditions: Mapping[str, Any] | None = None,
    device: str = "cpu",
    force: bool = False,
    console: Console,
) -> None:
    """Write n samples to `out` (labels to standard output without it) and one line of figures to the console."""
    if out is not None and str(out) != "-":
        check_destination(out, force=force)  # before the wait for the model
    place = own_device(device)
    with process_group(place):
        model = load_model(checkpoint, place)
        asked = {"space_groups": space_groups, "novel_only": novel_only, **(conditions or {})}
        chosen = {
            "n": n,
            "seed": seed,
            "sampler": sampler,
            "n_steps": n_steps,
            "space_groups": list(space_groups) if space_groups else None,
            "novel_only": novel_only,
            **_law(model, distinct=distinct, reweight=Conditions(**asked, reweight=reweight).reweights(model)),
            "conditions": {name: value for name, value in (conditions or {}).items() if value is not None},
        }
        writer = _writer(model, out, chosen, force=force)
        try:
            _draw_and_write(model, writer, console, {**chosen, "batch_size": batch_size})
        finally:
            writer.close()


def _law(model: Model, *, distinct: bool, reweight: bool) -> dict[str, Any]:
    """What is asked of the samples beyond conditions, with a digest of the weights, on which they depend."""
    asked: dict[str, Any] = {"distinct": distinct, "reweight": reweight}
    if reweight and model.checkpoint.reweighting is not None:
        weights = json.dumps(model.checkpoint.reweighting.to_dict()).encode()
        asked["weights"] = hashlib.sha256(weights).hexdigest()
    return asked


def _writer(model: Model, out: Path | None, chosen: dict[str, Any], *, force: bool) -> Writer:
    """Of the first process; the others learn how far an unfinished file is, or why there can be none."""
    opened: list[LineWriter | FileWriter] = []

    def begin() -> dict[str, Any]:
        if out is None or str(out) == "-":
            opened.append(LineWriter(sys.stdout))
        else:
            arguments = {**chosen, "model": _digest(model), "profile": model.checkpoint.profile}
            opened.append(FileWriter(out, arguments, force=force))
        return {name: getattr(opened[0], name) for name in ("next_number", "written", "counts")}

    found = from_first_process(begin)
    return opened[0] if opened else NoWriter(**found)


def _digest(model: Model) -> str:
    """SHA-256 of the weights, so that only the same model continues a file."""
    sha = hashlib.sha256()
    for name, tensor in sorted(model.checkpoint.network().state_dict().items()):
        sha.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()


def _draw_and_write(model: Model, writer: Writer, console: Console, options: dict[str, Any]) -> None:
    n, conditions = options.pop("n"), options.pop("conditions")
    options.pop("weights", None)
    if options.get("distinct"):
        options["seen"] = set(from_first_process(lambda: [fingerprint(label) for label in writer.labels()]))
    tally, fulfilment = Tally(**writer.counts), Fulfilment()
    begun, kept_before, novel_before = time.monotonic(), writer.written, tally.novel
    distinct = {hash(label) for label in islice(writer.labels(), UNIQUE_OVER)}
    block: list[Sample] = []
    size = options["batch_size"]
    energies = Energies.of(conditions)
    with _bar(console) as bar:
        task = bar.add_task("", total=n, completed=writer.written, speed="")
        ahead = _Ahead(bar, task, writer.written)
        samples = iterate(
            model,
            n - writer.written,
            first=writer.next_number,
            tally=tally,
            fulfilment=fulfilment,
            progress=ahead.within,
            **options,
            **conditions,
        )
        for item in samples:
            block.append(item)
            if tally.kept <= UNIQUE_OVER:
                distinct.add(hash(item.label))
            if len(block) == size or tally.kept == n:
                writer.write(block, asdict(tally))
                energies.add(block)
                block = []
                minutes = (time.monotonic() - begun) / 60
                ahead.reached(
                    tally.kept,
                    f"{(tally.kept - kept_before) / minutes:,.0f} a minute, "
                    f"{(tally.novel - novel_before) / minutes:,.0f} novel",
                )
    writer.finish()
    if rank() != 0:
        return
    console.print(_summary(tally, len(distinct), tally.kept - kept_before, time.monotonic() - begun), highlight=False)
    for line in (*fulfilment.lines(len(distinct), tally.kept), *energies.lines()):
        console.print(line, highlight=False)


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


def _summary(tally: Tally, n_distinct: int, n_now: int, seconds: float) -> str:
    """Of all samples; `n_now` of them are not from before an interruption, and took so many seconds."""
    if tally.kept == 0:
        return "0 samples"
    counted = min(tally.kept, UNIQUE_OVER)
    seen = tally.drawn - tally.invalid - tally.thinned
    passed_over = "".join(
        f", {number:,} {why}"
        for number, why in ((tally.thinned, "passed over by weight"), (tally.repeated, "passed over as repeated"))
        if number
    )
    now = "" if n_now == tally.kept else f", {n_now:,} of them now,"
    over = "" if counted == tally.kept else f" of the first {counted}"
    return (
        f"{tally.kept:,} samples{now} in {seconds:.1f} s ({60 * n_now / max(seconds, 1e-9):,.0f} a minute): "
        f"valid {100 * (1 - tally.invalid / tally.drawn):.1f} % ({tally.invalid} invalid, drawn again{passed_over}), "
        f"unique {100 * n_distinct / counted:.1f} %{over}, "
        f"novel {100 * tally.novel / seen:.1f} %, "
        f"with a novel prototype {100 * tally.novel_prototypes / seen:.1f} %"
    )
