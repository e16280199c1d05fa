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

from wyckoffkit.commandhelp import CommandApp
from wyckoffkit.interrupts import interruptible

from .measures import MEMORY

app = CommandApp()

CARD_ROWS = (
    "valid",
    "unique",
    "novel",
    "samples with a novel prototype",
    "novel composition",
    "labels that collapse into a supergroup",
    "compositions that SMACT accepts",
    MEMORY,
    "FWD, raw",
    "FWD, corrected",
    "FWD of the novel, corrected",
    "precision",
    "recall",
    "space group: Jensen–Shannon, bits",
    "element: Jensen–Shannon, bits",
)

CARD = """# {title}

| | |
|---|---|
| architecture | `{architecture}`, {parameters:,} parameters, objective `{objective}`, prior `{prior}` |
| trained on | {materials:,} materials of {sources}, {licence} |
| dataset | SHA-256 `{dataset_digest}` |
| canonical profile | `{profile}` |
| training | {seen:,} materials seen in {steps:,} steps, {hours:.2f} h of wall time on {threads}{runs} |
| validation | {validation} |
| weights | `{weights}`, SHA-256 `{weights_digest}` |
| reference pack | `{pack}`, SHA-256 `{pack_digest}`: p̂(s), p̂(n given s), marginals, fingerprints |

Settings of the run:

```json
{settings}
```
{evaluation}
{notes}
The weights are the exponential moving average of the run's best validation. Licence of the weights: CC BY 4.0, as the
data they were trained on; cite the data's papers with them.
"""


@app.command()
def main(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Run folder of `reference_model.train`, or a checkpoint in it.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="Weights file to write; pack and card lie beside it.")],
    title: Annotated[str, typer.Option(help="First line of the card.")] = "A model of protostructures",
    threads: Annotated[str, typer.Option(help="What the training ran on, in words, for the card.")] = "one CPU thread",
    half: Annotated[bool, typer.Option("--half", help="Store the weights in bfloat16, at half the size.")] = False,
    evaluation: Annotated[
        list[Path] | None,
        typer.Option(help="JSON of `python -m reference_model.evaluate`, a column of the card's table; repeatable."),
    ] = None,
    earlier: Annotated[
        list[Path] | None,
        typer.Option(help="Run that this one was initialised from, the latest first; its cost is added."),
    ] = None,
    notes: Annotated[Path | None, typer.Option(help="Markdown for the card: what it is for, known weaknesses.")] = None,
) -> None:
    """Write the best weights of a run, its reference pack and a card.

    Example: python -m reference_model.export run/ -o weights/mine.safetensors
    """
    from wyckoffkit.commandline import named_errors

    with named_errors("export"):
        written = export(
            run,
            out,
            title=title,
            threads=threads,
            half=half,
            evaluations=evaluation or [],
            earlier=earlier or [],
            notes=notes.read_text(encoding="utf-8") if notes else "",
        )
        typer.echo(f"wrote {', '.join(map(str, written))}", err=True)


def export(
    run: Path,
    out: Path,
    *,
    title: str,
    threads: str,
    half: bool,
    evaluations: list[Path],
    earlier: list[Path],
    notes: str,
) -> tuple[Path, Path, Path]:
    """Write `out`, its reference pack and its card; their paths.

    Raises CheckpointError where the run holds no checkpoint, or did not begin with what an `earlier` one ended with.
    """
    import torch

    from wyckoffkit.files import replacing

    from .checkpoint import checkpoint_file, read_checkpoint, write_checkpoint
    from .reference import read_reference, reference_path, write_reference

    source = checkpoint_file(run)
    checkpoint = read_checkpoint(source).exported(torch.bfloat16 if half else torch.float32)
    pack = read_reference(reference_path(source))
    spent = _spent(checkpoint.training, earlier)
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
        "seen": sum(run.get("materials", 0) for run in spent),
        "steps": sum(run.get("step", 0) for run in spent),
        "hours": sum(run.get("seconds", 0.0) for run in spent) / 3600,
        "threads": threads,
        "runs": f", in {len(spent)} runs, of which the last is described here" if len(spent) > 1 else "",
        "notes": notes and f"\n{notes.strip()}\n",
        "validation": _validation(checkpoint.training.get("validation")),
        "weights": out.name,
        "weights_digest": _digest(out),
        "pack": pack_path.name,
        "pack_digest": _digest(pack_path),
        "settings": json.dumps(checkpoint.training.get("settings", {}), indent=1, sort_keys=True),
        "evaluation": _evaluation(evaluations),
    }
    card = out.with_suffix(".md")
    with replacing(card) as temporary:
        temporary.write_text(CARD.format(**facts), encoding="utf-8")
    return out, pack_path, card


def _spent(training: dict[str, Any], earlier: list[Path]) -> list[dict[str, Any]]:
    """What a run and those before it took, the latest first."""
    from wyckoffkit import CheckpointError

    from .checkpoint import checkpoint_file, read_checkpoint

    spent = [training]
    for folder in earlier:
        begun = spent[-1].get("settings", {}).get("initialised_from", "")
        if begun != _digest(file := checkpoint_file(folder)):
            raise CheckpointError(f"the run began with weights {begun[:12] or 'of its own'}, which are not {file}")
        spent.append(read_checkpoint(file).training)
    return spent


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _validation(found: dict[str, float] | None) -> str:
    if not found or "bits" not in found:
        return "not measured"
    return f"{found['bits']:.2f} ± {found['bits_error']:.2f} bits a material (the objective's bound, less settings)"


def _evaluation(paths: list[Path]) -> str:
    """A table of the measures that a card is read for, beside what held-out real data shows."""
    if not paths:
        return ""
    from .evaluate.compare import read_evaluations, rows, with_interval

    contents = read_evaluations(paths)
    names = [name for name, _ in contents]
    table = [
        "",
        "With 95 % intervals, beside held-out materials of the same data (divergences: beside as many perfect",
        "samples). Each column names an evaluation's file.",
        "",
        f"| | held-out | {' | '.join(names)} |",
        "|---" * (len(names) + 2) + "|",
    ]
    for row in rows(contents):
        if row.name in CARD_ROWS:
            line = row.held_out if row.held_out is not None else row.resampled
            cells = [with_interval(estimate, row.factor) for estimate in row.estimates]
            shown = "–" if line is None else f"{row.factor * line:.3g}"
            table.append(f"| {row.name}{', %' if row.factor == 100 else ''} | {shown} | {' | '.join(cells)} |")
    return "\n".join(table) + "\n"


if __name__ == "__main__":
    interruptible("export", partial(app, prog_name="python -m reference_model.export"))
