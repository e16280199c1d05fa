"""The table of docs/results.md: real data, the shipped model and bad generators, by one evaluation each.

`python tests/benchmarks/bench_controls.py DATA.h5 FOLDER` writes into FOLDER what is not there yet (labels: held-out,
resampled, shuffled-elements, random-valid, and samples of the shipped model, reweighted and by its own law), evaluates
each against the shipped reference into FOLDER/*.json and *.html, writes FOLDER/compare.html, and prints Markdown. To
measure new weights, remove FOLDER/shipped.txt and FOLDER/own-law.txt. CPU seconds of each evaluation go to stderr.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import torch

from reference_model.checkpoint import SHIPPED
from reference_model.evaluate.against import read_against
from reference_model.evaluate.app import _without_nan, _write
from reference_model.evaluate.compare import Row, html_table, plots, read_evaluations, rows, with_interval
from reference_model.evaluate.controls import write_controls
from reference_model.evaluate.measure import evaluate
from reference_model.evaluate.samples import read_samples
from reference_model.evaluate.shares import MEMORY
from reference_model.extractor.weights import read_extractor
from reference_model.report import render, render_comparison

DRAWN = {"shipped": ("--reweight",), "own-law": ("--own-law",)}
SETS = ("held-out", "resampled", *DRAWN, "shuffled-elements", "random-valid")
SHOWN = (
    "valid",
    "unique",
    "novel",
    "unique among the novel",
    "samples with a novel prototype",
    "unique prototypes",
    "distinct novel prototypes among the novel (10,000 at most)",
    "novel composition",
    "novel chemical system",
    "training label over held-out label",
    "labels that collapse into a supergroup",
    "compositions that SMACT accepts",
    "in groups 1–15 (triclinic, monoclinic)",
    "in P1",
    "FWD, raw",
    "FWD, corrected",
    "FWD of the novel, corrected",
    "kernel distance",
    "precision",
    "recall",
    "density",
    "coverage",
    *(f"formation energy {quantile}, all, eV/atom" for quantile in ("Q10", "Q50", "Q90")),
    "space group: Jensen–Shannon, bits",
    "element: Jensen–Shannon, bits",
    "arity: Jensen–Shannon, bits",
)


def make_labels(data: Path, folder: Path, n: int) -> None:
    """Write the files of labels that are not there."""
    if not all((folder / f"{name}.txt").exists() for name in SETS if name not in DRAWN):
        write_controls(data, folder, n)
    for name, options in DRAWN.items():
        if not (folder / f"{name}.txt").exists():
            command = [sys.executable, "-m", "reference_model.sample", "-n", str(n), "--seed", "0", *options, "-o"]
            subprocess.run([*command, str(folder / f"{name}.txt")], check=True)


def measure(folder: Path) -> None:
    """Evaluate every set, with one reading of the reference and the extractor."""
    extractor = read_extractor()
    reference = read_against(None, extractor=extractor)
    for name in SETS:
        start = time.process_time()
        samples = read_samples(folder / f"{name}.txt")
        command = f"python -m reference_model.evaluate {name}.txt" + " --model shipped" * (name == "own-law")
        model = Path(SHIPPED) if name == "own-law" else None
        found = evaluate(samples, reference, extractor=extractor, command=command, model=model)
        content = _without_nan(found.to_dict())
        _write(folder / f"{name}.json", json.dumps(content, ensure_ascii=False, indent=1) + "\n")
        _write(folder / f"{name}.html", render(content))
        print(f"{name}: {time.process_time() - start:.1f} CPU s", file=sys.stderr)


def markdown(found: list[Row]) -> str:
    """The chosen rows, value and interval."""
    lines = [f"| | {' | '.join(SETS)} |", "|---" * (len(SETS) + 1) + "|"]
    by_name = {row.name: row for row in found}
    for name in SHOWN:
        row = by_name[name]
        # Held-out data are the held-out labels: their ratio says nothing.
        estimates = [None, *row.estimates[1:]] if name == MEMORY else row.estimates
        cells = " | ".join(with_interval(estimate, row.factor, 4 if row.factor == 100 else 3) for estimate in estimates)
        lines.append(f"| {name}{', %' if row.factor == 100 else ''} | {cells} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("-n", type=int, default=10_000)
    options = parser.parse_args()
    if options.folder is None:
        print("skipped: give it a dataset of WBM and a folder (see --help)")
        return
    torch.set_num_threads(1)
    make_labels(options.data, options.folder, options.n)
    measure(options.folder)
    contents = read_evaluations([options.folder / f"{name}.json" for name in SETS])
    report = render_comparison([name for name, _ in contents], plots(contents), html_table(contents))
    _write(options.folder / "compare.html", report)
    print(markdown(rows(contents)))
    found = dict(contents)["own-law"]["likelihoods"]
    for name, estimate in {**found["bits_a_material"], **found["differences"]}.items():
        print(f"bits a material, {name}: {with_interval(estimate, 1.0)}")


if __name__ == "__main__":
    main()
