"""`python -m reference_model.extractor.train --wbm CSV -o run/`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from wyckoffkit.commandhelp import CommandApp
from wyckoffkit.commandline import named_errors
from wyckoffkit.interrupts import interruptible

app = CommandApp()


@app.command()
def main(
    wbm: Annotated[Path, typer.Option(help="CSV with label and e_form_per_atom.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the run.")],
    wren: Annotated[Path | None, typer.Option(help="CSV with wyckoff and formation_energy_per_atom.")] = None,
    minutes: Annotated[float, typer.Option(min=0, help="Budget of wall time, over all sittings.")] = 50.0,
    layers: Annotated[int, typer.Option(min=1, help="Of the transformer.")] = 3,
    licence: Annotated[str, typer.Option(help="Of the data, for the card.")] = "CC BY 4.0",
) -> None:
    """Train the Wrenformer behind FWD, or continue the run in the output folder, and write the extractor there.

    Example: python -m reference_model.extractor.train --wbm wbm_labels.csv.gz -o run/
    """
    with named_errors("train"):
        from .trainer import train_extractor

        train_extractor(wbm, output, wren, minutes=minutes, layers=layers, licence=licence)


if __name__ == "__main__":
    interruptible("train", partial(app, prog_name="python -m reference_model.extractor.train"))
