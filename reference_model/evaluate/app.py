"""`python -m reference_model.evaluate SAMPLES`."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wyckoffkit.commandhelp import CommandApp
from wyckoffkit.files import replacing

if TYPE_CHECKING:
    from rich.console import Console

    from .measure import Evaluation

WIDE = 200

app = CommandApp()


@app.command()
def main(
    samples: Annotated[
        list[Path],
        typer.Argument(metavar="SAMPLES…", help="Labels, one a line ('-' is stdin), a dataset, or structures."),
    ],
    reference: Annotated[
        Path | None,
        typer.Option(help="Training data: a dataset, a reference pack or labels. Default: the shipped pack."),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write every number and its interval here; '-' is stdout.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write a self-contained HTML report here.")] = None,
    extractor: Annotated[
        Path | None, typer.Option(help="Wrenformer for FWD: ours, or an aviary checkpoint. Default: the shipped one.")
    ] = None,
    norm: Annotated[
        str | None, typer.Option(help="For aviary checkpoints: layers normalise 'pre' (aviary 1.2) or 'post'.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Checkpoint that drew the samples ('shipped' for ours): also bits a material.")
    ] = None,
    fwd: Annotated[bool, typer.Option(help="Whether to embed the samples at all.")] = True,
    symprec: Annotated[float, typer.Option(min=1e-6, help="Tolerance in Å for labels of structures.")] = 0.1,
    symprec_sweep: Annotated[
        bool, typer.Option(help="Whether structures are labelled at four tolerances, to see what depends on them.")
    ] = True,
    seconds: Annotated[float | None, typer.Option(min=0, help="How long sampling took, for novel a minute.")] = None,
    seed: Annotated[int, typer.Option(help="Of the resampling behind intervals.")] = 0,
    compare: Annotated[
        bool, typer.Option("--compare", help="The files are evaluations (JSON): show them side by side.")
    ] = False,
) -> None:
    """Measure generated protostructures: validity, uniqueness, novelty, distributions and FWD.

    Example: python -m reference_model.evaluate labels.txt --json evaluation.json --report report.html
    """
    from .samples import require, require_file

    if compare:
        return _compare(samples, report)
    if len(samples) > 1:
        raise typer.BadParameter("one file of samples at a time; --compare takes several evaluations")
    require(samples[0])  # before the wait for torch
    for path in (reference, extractor):
        if path is not None:
            require_file(path)
    if norm not in (None, "pre", "post"):
        raise typer.BadParameter("norm is 'pre' or 'post'")
    from .asked import evaluate

    with waiting(f"measuring {samples[0]}") as announce:
        evaluation = evaluate(
            samples[0],
            reference,
            extractor=extractor,
            norm=norm,
            fwd=fwd,
            model=model,
            symprec=symprec,
            symprec_sweep=symprec_sweep,
            seconds=seconds,
            seed=seed,
            command="python -m reference_model.evaluate " + shlex.join(sys.argv[1:]),
            announce=lambda: announce("embedding the reference"),
        )
    _deliver(evaluation, json_file, report)


def _compare(paths: list[Path], report: Path | None) -> None:
    from .compare import html_table, plots, read_evaluations, show_comparison

    contents = read_evaluations(paths)
    if report is not None:
        from ..report import render_comparison

        _write(report, render_comparison([name for name, _ in contents], plots(contents), html_table(contents)))
    show_comparison(contents, console())


@contextmanager
def waiting(what: str) -> Iterator[Callable[[str], AbstractContextManager[Callable[[int], None]]]]:
    """What is done, and for how long, on a terminal's stderr; yields how to say of a part that it counts materials."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    stderr = Console(stderr=True)
    with Progress(*columns, console=stderr, disable=not stderr.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=None)

        @contextmanager
        def counting(part: str) -> Iterator[Callable[[int], None]]:
            done = 0

            def advance(n: int) -> None:
                nonlocal done
                done += n
                bar.update(task, description=f"{part}: {done:,} materials")

            yield advance
            bar.update(task, description=what)

        yield counting


def _deliver(evaluation: Evaluation, json_file: Path | None, report: Path | None) -> None:
    from .table import show

    content = _without_nan(evaluation.to_dict())
    text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    if report is not None:
        from ..report import render

        _write(report, render(content))
    if str(json_file) == "-":
        sys.stdout.write(text)
        return
    if json_file is not None:
        _write(json_file, text)
    show(evaluation, console())  # last: its reader may go away, as `head` does


def console() -> Console:
    """As wide as the terminal, and wide enough for every column where the output goes to a file."""
    from rich.console import Console

    return Console(soft_wrap=True, width=None if sys.stdout.isatty() else WIDE)


def _write(path: Path, text: str) -> None:
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _without_nan(value: Any) -> Any:
    """JSON has neither NaN nor infinity: what could not be measured, or has no bound, is null."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not -1e308 < value < 1e308 else value
