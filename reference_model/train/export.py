"""`python -m reference_model.train.export run/ -o weights/default.safetensors`: what sampling needs, and a card."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    run: Annotated[Path, typer.Argument(help="Run folder, or a checkpoint in one.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="File for the weights; pack and card go beside it.")],
    half: Annotated[bool, typer.Option("--half", help="Store the weights in bfloat16, at half the size.")] = False,
) -> None:
    """Write a run's best averaged weights, its reference pack and a card of where they came from."""
    from rich.console import Console

    from wyckoffkit import WyckoffkitError

    console = Console(stderr=True)
    try:
        export(run, out, half=half)
    except WyckoffkitError as error:
        console.print(f"error: {error}", style="red", markup=False, highlight=False)
        raise typer.Exit(1) from None
    for path in (out, out.with_name(f"{out.stem}.reference.safetensors"), out.with_suffix(".md")):
        console.print(f"{path}: {path.stat().st_size / 1e6:.2f} MB", highlight=False)


def export(run: Path, out: Path, *, half: bool = False) -> None:
    """Write `out`, `OUT.reference.safetensors` and the card `OUT.md`. Raises CheckpointError if the run is not one."""
    import torch

    from ..checkpoint import Checkpoint, read_checkpoint, write_checkpoint
    from ..reference import read_reference, reference_path
    from ..tensorfile import replacing

    if run.is_dir():
        best = run / "best.safetensors"
        run = best if best.exists() else run / "checkpoint.safetensors"
    checkpoint: Checkpoint = read_checkpoint(run)
    pack = reference_path(run)
    read_reference(pack)
    write_checkpoint(out, checkpoint.exported(torch.bfloat16 if half else torch.float32))
    with replacing(out.with_name(f"{out.stem}.reference.safetensors")) as temporary:
        shutil.copyfile(pack, temporary)
    with replacing(out.with_suffix(".md")) as temporary:
        temporary.write_text(card(checkpoint), encoding="utf-8")


def card(checkpoint: object) -> str:
    """The facts that a checkpoint holds about itself, in Markdown; what it is good for is for its maker to add."""
    from ..checkpoint import Checkpoint

    assert isinstance(checkpoint, Checkpoint)
    config, training, dataset = checkpoint.config, checkpoint.training, checkpoint.dataset
    n_weights = sum(tensor.numel() for tensor in checkpoint.weights.values())
    lines = [
        f"# Model card: {config.name}, {config.objective} objective",
        "",
        f"- weights: {n_weights:,}, profile `{checkpoint.profile}`",
        f"- data: {dataset.get('file', '?')}, {dataset.get('training_materials', 0):,} training materials",
        f"- licence of the data: {dataset.get('licence', '?')}; SHA-256 `{dataset.get('sha256', '?')}`",
        f"- training: {training.get('materials', 0):,} materials seen in {training.get('step', 0):,} steps",
        f"- wall time: {training.get('seconds', 0) / 3600:.2f} h",
        *(f"- validation {name}: {value:.4f}" for name, value in training.get("validation", {}).items()),
        "",
        "## Settings",
        "",
        "```json",
        json.dumps({"model": config.to_dict(), "train": training.get("settings", {})}, indent=1),
        "```",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(app(prog_name="python -m reference_model.train.export"))
