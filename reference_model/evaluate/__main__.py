"""`python -m reference_model.evaluate SAMPLES`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wyckoffkit import WyckoffkitError

if TYPE_CHECKING:
    from .measure import Evaluation

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]}
)


@app.command()
def main(
    samples: Annotated[Path, typer.Argument(metavar="SAMPLES", help="Labels, one a line, or a dataset; '-' is stdin.")],
    reference: Annotated[
        Path | None,
        typer.Option(help="Training data: a dataset, a reference pack or labels. Default: the shipped pack."),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write every number and its interval here; '-' is stdout.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the resampling behind intervals.")] = 0,
) -> None:
    """Measure generated protostructures: validity, uniqueness, novelty and distributions.

    Example: python -m reference_model.evaluate labels.txt --json evaluation.json
    """
    from .samples import read_samples, require_file

    require_file(samples)  # before the wait for torch
    from .against import read_against
    from .measure import evaluate

    known = read_against(reference)
    evaluation = evaluate(read_samples(samples, profile=known.profile), known, seed=seed)
    _deliver(evaluation, json_file)


def _deliver(evaluation: Evaluation, json_file: Path | None) -> None:
    from rich.console import Console

    from .table import show

    text = json.dumps(_without_nan(evaluation.to_dict()), ensure_ascii=False, indent=1) + "\n"
    if str(json_file) == "-":
        sys.stdout.write(text)
        return
    show(evaluation, Console(soft_wrap=True))
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        partial = json_file.with_name(f".{json_file.name}.{os.getpid()}.partial")
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, json_file)


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: what could not be measured is null."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and value != value else value


def run() -> None:
    """Exit 0, 1 for a named error (its sentence on stderr), 2 for usage."""
    try:
        app()
    except WyckoffkitError as error:
        _stop(str(error))
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        _stop(f"{name}{(error.strerror or str(error)).lower()}")


def _stop(message: str) -> None:
    typer.echo(f"evaluate: {message}", err=True)
    sys.exit(1)


if __name__ == "__main__":
    run()
