"""The facts shipped beside a reference pack: `python -m reference_model.evaluate.prepare data.h5 -o weights/`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from wyckoffkit.commandhelp import CommandApp
from wyckoffkit.commandline import named_errors
from wyckoffkit.interrupts import interruptible

from .app import waiting

app = CommandApp()


@app.command()
def main(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="The dataset that the model was trained on.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the reference pack.")],
    extractor: Annotated[Path | None, typer.Option(help="Default: the shipped one.")] = None,
) -> None:
    """Measure a training set once: held-out lines, distributions, embeddings and energies.

    Example: python -m reference_model.evaluate.prepare wbm.h5 -o weights/
    """
    with named_errors("prepare"):
        prepare(data, output, extractor)


def prepare(data: Path, output: Path, extractor: Path | None = None) -> None:
    """Write the facts of a training set into the folder of its reference pack."""
    from ..extractor.weights import read_extractor
    from .against import FACTS, read_against
    from .facts import write_facts

    with waiting("embedding the training data") as counting, counting("embedding the training data") as progress:
        reference = read_against(data, extractor=read_extractor(extractor), progress=progress)
    assert reference.facts is not None
    write_facts(output / FACTS, reference.facts)
    typer.echo(f"{output / FACTS}: {reference.n:,} materials")


if __name__ == "__main__":
    interruptible("prepare", partial(app, prog_name="python -m reference_model.evaluate.prepare"))
