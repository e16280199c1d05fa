"""Ship a trained run: weights, reference pack and card, small enough to travel with the package.

usage: python -m reference_model.export RUN -o reference_model/weights/default.safetensors
"""

from __future__ import annotations

import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from wyckoffkit.interrupts import interruptible

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

CARD = """# {title}

| | |
|---|---|
| architecture | `{architecture}`, {parameters:,} parameters, objective `{objective}`, prior `{prior}` |
| trained on | {materials:,} materials of {sources}, {licence} |
| dataset | SHA-256 `{dataset_digest}` |
| canonical profile | `{profile}` |
| training | {seen:,} materials seen in {steps:,} steps, {hours:.2f} h of wall time on {threads} |
| validation | {validation} |
| weights | `{weights}`, SHA-256 `{weights_digest}` |
| reference pack | `{pack}`, SHA-256 `{pack_digest}`: p̂(s), p̂(n given s), marginals, fingerprints |

Settings of the run:

```json
{settings}
```
{evaluation}
The weights are the exponential moving average of the run's best validation. Licence of the weights: CC BY 4.0, as the
data they were trained on; cite the data's papers with them.
"""


@app.command()
def main(
    run: Annotated[Path, typer.Argument(help="Run folder of `reference_model.train`, or a checkpoint in it.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Weights file to write; pack and card lie beside it.")],
    title: Annotated[str, typer.Option(help="First line of the card.")] = "A model of protostructures",
    threads: Annotated[str, typer.Option(help="What the training ran on, in words, for the card.")] = "one CPU thread",
    half: Annotated[bool, typer.Option("--half", help="Store the weights in bfloat16, at half the size.")] = False,
    evaluation: Annotated[
        list[Path] | None, typer.Option(help="JSON of `python -m reference_model.evaluate`, put in the card.")
    ] = None,
) -> None:
    """Write the best weights of a run, its reference pack and a card."""
    from wyckoffkit.commandline import named_errors

    with named_errors("export"):
        export(run, out, title=title, threads=threads, half=half, evaluations=evaluation or [])


def export(run: Path, out: Path, *, title: str, threads: str, half: bool, evaluations: list[Path]) -> None:
    """Write `out`, its reference pack and its card. CheckpointError where the run holds no checkpoint."""
    import torch

    from wyckoffkit.files import replacing

    from .checkpoint import read_checkpoint, write_checkpoint
    from .reference import read_reference, reference_path, write_reference

    best = run / "best.safetensors"
    source = run if not run.is_dir() else best if best.exists() else run / "checkpoint.safetensors"
    checkpoint = read_checkpoint(source).exported(torch.bfloat16 if half else torch.float32)
    pack = read_reference(reference_path(source))
    write_checkpoint(out, checkpoint)
    pack_path = out.with_name(f"{out.stem}.reference.safetensors")
    write_reference(pack_path, pack)
    facts: dict[str, Any] = {
        "title": title,
        "architecture": checkpoint.config.architecture,
        "objective": checkpoint.config.objective,
        "prior": checkpoint.config.prior,
        "parameters": sum(tensor.numel() for tensor in checkpoint.weights.values()),
        "materials": checkpoint.dataset.get("training_materials", 0),
        "sources": ", ".join(source["name"] for source in json.loads(checkpoint.dataset.get("sources", "[]"))),
        "licence": checkpoint.dataset.get("licence", "licence not stated"),
        "dataset_digest": checkpoint.dataset.get("sha256", ""),
        "profile": checkpoint.profile,
        "seen": checkpoint.training.get("materials", 0),
        "steps": checkpoint.training.get("step", 0),
        "hours": checkpoint.training.get("seconds", 0.0) / 3600,
        "threads": threads,
        "validation": _validation(checkpoint.training.get("validation")),
        "weights": out.name,
        "weights_digest": _digest(out),
        "pack": pack_path.name,
        "pack_digest": _digest(pack_path),
        "settings": json.dumps(checkpoint.training.get("settings", {}), indent=1, sort_keys=True),
        "evaluation": _evaluation(evaluations),
    }
    with replacing(out.with_suffix(".md")) as temporary:
        temporary.write_text(CARD.format(**facts), encoding="utf-8")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _validation(found: dict[str, float] | None) -> str:
    if not found or "bits" not in found:
        return "not measured"
    return f"{found['bits']:.2f} ± {found['bits_error']:.2f} bits a material (the objective's bound, less settings)"


def _evaluation(paths: list[Path]) -> str:
    if not paths:
        return ""
    blocks = (f"\n`{path.name}`:\n\n```json\n{path.read_text(encoding='utf-8').strip()}\n```\n" for path in paths)
    return "\nEvaluation, as `python -m reference_model.evaluate` wrote it:\n" + "".join(blocks)


if __name__ == "__main__":
    interruptible("export", partial(app, prog_name="python -m reference_model.export"))
