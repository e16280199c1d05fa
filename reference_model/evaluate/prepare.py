"""The facts shipped beside a reference pack: `python -m reference_model.evaluate.prepare data.h5 -o weights/`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wyckoffkit.commandline import named_errors
from wyckoffkit.interrupts import interruptible

from .app import counting


def prepare(
    data: Annotated[Path, typer.Argument(help="The dataset that the model was trained on.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the reference pack.")],
    extractor: Annotated[Path | None, typer.Option(help="Default: the shipped one.")] = None,
) -> None:
    """Measure a training set once: held-out lines, distributions, embeddings and energies."""
    from ..extractor.weights import read_extractor
    from .against import FACTS, read_against
    from .facts import write_facts

    with counting("embedding the training data") as progress:
        reference = read_against(data, extractor=read_extractor(extractor), progress=progress)
    assert reference.facts is not None
    write_facts(output / FACTS, reference.facts)
    typer.echo(f"{output / FACTS}: {reference.n:,} materials")


def _run() -> None:
    command = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    command.command()(prepare)
    with named_errors("prepare"):
        command()


if __name__ == "__main__":
    interruptible("prepare", _run)
