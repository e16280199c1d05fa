"""Models trained at equal cost, priors, ablations and small sets: the tables of docs/results.md.

`python tests/benchmarks/bench_models.py FOLDER --wbm wbm.h5 [--small SMALL] [--only PART]` trains what FOLDER lacks
(each run resumes; a finished one is left alone), samples each model, evaluates the samples and prints Markdown.
SMALL holds mp20.h5, mpts52.h5 and carbon24.h5, as `wyckoffkit build-dataset` makes them of the files named in
docs/results.md. Minutes are CPU minutes of one thread. The whole takes about two CPU hours.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reference_model.checkpoint import DEFAULT, FORMAT_VERSION, KIND
from reference_model.tensorfile import read_tensors

THEIRS = "--prior zeros --weighting variable --batch-size 256 --lr 0.001 --set train.validation_materials=500"
JUMP = "--config compact --batch-size 512 --lr 0.002"
D3PM = "--config compact --objective d3pm --batch-size 256 --lr 0.002"
STEPS = "--steps 400 --validations 2"
ABLATED = f"{JUMP} {STEPS}"
SMALL = "--config compact --lr 0.002 --validations 12 --patience 4"


@dataclass(frozen=True, slots=True)
class Trained:
    """One run: what it is called, on which data, for how many CPU minutes, with which options of `train`.

    Runs of 0 minutes have a number of steps instead, among their options: they see the same materials in one order.
    """

    part: str
    name: str
    data: str
    minutes: float
    options: str
    n_samples: int = 0
    """0: bits alone."""
    change: str = ""
    """Of the compact network, for which it has no option: one of CHANGES."""


RUNS = (
    Trained("equal cost", "eq-released", "wbm", 8, f"--config released {THEIRS} --validations 4", 200),
    Trained("equal cost", "eq-paper", "wbm", 8, f"--config paper {THEIRS} --validations 4", 200),
    Trained("equal cost", "eq-compact-d3pm", "wbm", 8, f"{D3PM} --validations 4", 1000),
    Trained("equal cost", "eq-compact-jump", "wbm", 8, f"{JUMP} --validations 4", 1000),
    Trained("priors", "eq-compact-d3pm", "wbm", 8, f"{D3PM} --validations 4", 1000),
    Trained("priors", "pr-marginal", "wbm", 8, f"{D3PM} --prior marginal --validations 4", 1000),
    Trained("priors", "pr-uniform", "wbm", 8, f"{D3PM} --prior uniform --validations 4", 1000),
    Trained("small sets", "small-mp20", "mp20", 6, f"{SMALL} --batch-size 256", 1000),
    Trained(
        "small sets",
        "small-mp20-from-wbm",
        "mp20",
        6,
        f"--initialise {DEFAULT} --batch-size 256 --lr 0.001 --validations 12 --patience 4",
        1000,
    ),
    Trained("small sets", "small-mpts52", "mpts52", 6, f"{SMALL} --batch-size 128", 1000),
    Trained("small sets", "small-carbon24", "carbon24", 6, f"{SMALL} --batch-size 128 --set model.max_count=24", 1000),
    Trained("ablations", "step-default", "wbm", 0, ABLATED),
    Trained("ablations", "step-other-seed", "wbm", 0, f"{ABLATED} --seed 1"),
    Trained("ablations", "step-no-settings", "wbm", 0, f"{ABLATED} --augmentation none"),
    Trained("ablations", "step-no-average", "wbm", 0, f"{ABLATED} --ema 0"),
    Trained("ablations", "step-flat-lr", "wbm", 0, f"{ABLATED} --set train.final_lr=1.0"),
    Trained("ablations", "step-no-clip", "wbm", 0, f"{ABLATED} --set train.clip=0"),
    Trained("ablations", "step-no-warmup", "wbm", 0, f"{ABLATED} --set train.warmup=0"),
    Trained("ablations", "step-no-element-features", "wbm", 0, ABLATED, change="element_features"),
    Trained("ablations", "step-no-position-features", "wbm", 0, ABLATED, change="position_features"),
    Trained("ablations", "step-untied", "wbm", 0, ABLATED, change="untied"),
    Trained("ablations", "step-wide", "wbm", 0, f"{ABLATED} --set model.hidden_size=192"),
    Trained("ablations", "step-small", "wbm", 0, f"{ABLATED} --set model.hidden_size=64"),
    Trained("ablations", "step-d3pm", "wbm", 0, f"{D3PM} {STEPS}"),
    Trained("ablations", "step-d3pm-no-offset", "wbm", 0, f"{D3PM} {STEPS} --set model.log_u_offset=false"),
)


ZERO = "whole = compact.{0}\ncompact.{0} = lambda *given: torch.zeros_like(whole(*given))"
CHANGES = {
    "element_features": ZERO.format("element_features"),
    "position_features": ZERO.format("position_features"),
    "untied": """
class Untied(network.CompactNetwork):
    def __init__(self, config):
        super().__init__(config)
        self.scored_weight = torch.nn.Parameter(torch.randn_like(self.element_weight) * 0.2)
        self.scored_residual = torch.nn.Parameter(torch.randn_like(self.element_residual) * 0.1)

    def _slots(self, h, elements, nodes, batch):
        scored = self.element_features @ self.scored_weight + self.scored_residual
        return super()._slots(h, scored, nodes, batch)


network.CompactNetwork = Untied
""",
}
CHANGED = """
import sys, torch
from reference_model import network
from reference_model.network import compact
{change}
from reference_model.train.app import app
app(sys.argv[1:])
"""


def python(module: str, *arguments: str) -> float:
    """Run one of our commands; CPU seconds that it took, starting included."""
    before = _children()
    command = [sys.executable, "-m", f"reference_model.{module}", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return _children() - before


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def done(folder: Path) -> dict[str, Any] | None:
    """The last validation that a finished run logged; None for one that has not ended."""
    log, best = folder / "log.jsonl", folder / "best.safetensors"
    if not (log.exists() and best.exists() and (folder / "checkpoint.safetensors").exists()):
        return None
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    found = [line for line in lines if "validation" in line]
    return min(found, key=lambda line: line["validation"]["loss"]) | {"last": lines[-1]} if found else None


def train(run: Trained, folder: Path, data: Path) -> None:
    """Train, or go on with, a run; one that has ended returns at once."""
    length = ["--clock", "cpu", "--minutes", f"{run.minutes:g}"] if run.minutes else []
    arguments = [str(data), "-o", str(folder / run.name), *run.options.split(), *length, "--threads", "1"]
    if run.change:
        subprocess.run([sys.executable, "-c", CHANGED.format(change=CHANGES[run.change]), *arguments], check=True)
    else:
        python("train", *arguments)


def judge(run: Trained, folder: Path, data: Path) -> dict[str, Any]:
    """Evaluation of the run's samples, and how long these took."""
    place = folder / run.name
    labels, found = place / "samples.txt", place / "evaluation.json"
    seconds = place / "sampling.json"
    if not found.exists():
        if not labels.exists():
            spent = python("sample", str(place), "-n", str(run.n_samples), "--threads", "1", "-o", str(labels))
            seconds.write_text(json.dumps({"cpu_seconds": spent}), encoding="utf-8")
        reference = [] if run.data == "wbm" else ["--reference", str(data)]
        python("evaluate", str(labels), *reference, "--json", str(found))
    content: dict[str, Any] = json.loads(found.read_text(encoding="utf-8"))
    return content | json.loads(seconds.read_text(encoding="utf-8"))


def row(run: Trained, folder: Path, data: Path) -> str:
    """One line of a table."""
    at = done(folder / run.name)
    if at is None:
        return f"| {run.name} | not run |"
    bits = at["validation"]
    header = read_tensors(folder / run.name / "checkpoint.safetensors", KIND, FORMAT_VERSION)[1]
    spent = header["training"]["cpu_seconds"] / 60
    minutes = f"{run.minutes or spent:.2g}"
    cells = [run.name, minutes, f"{at['step']:,}", f"{bits['bits']:.2f} ± {bits['bits_error']:.2f}"]
    if run.n_samples:
        found = judge(run, folder, data)
        metrics, fwd = found["metrics"], found["embedding"]["fwd"]["corrected"]
        cells += [f"{fwd['value']:.3g} ({fwd['low']:.3g} … {fwd['high']:.3g})"]
        shares = ("valid", "unique", "novel", "samples with a novel prototype", "compositions that SMACT accepts")
        cells += ["–" if metrics.get(name) is None else f"{100 * metrics[name]['value']:.1f}" for name in shares]
        cells += [f"{found['cpu_seconds']:.0f}"]
    return f"| {' | '.join(cells)} |"


HEAD = "| run | CPU min | steps | bits a material |"
MORE = " FWD, corrected | valid, % | unique, % | novel, % | novel prototype, % | SMACT, % | sampling, CPU s |"


def main() -> None:
    """Train, judge and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--wbm", type=Path)
    parser.add_argument("--small", type=Path)
    parser.add_argument("--only", help="equal cost, priors, small sets or ablations")
    parser.add_argument("--no-train", action="store_true", help="Take what has been trained.")
    options = parser.parse_args()
    if options.folder is None:
        print("skipped: takes two CPU hours, give it a folder and --wbm wbm.h5 (see --help)")
        return
    for part in dict.fromkeys(run.part for run in RUNS if options.only in (None, run.part)):
        chosen = [run for run in RUNS if run.part == part]
        head = HEAD + MORE * bool(chosen[0].n_samples)
        print(f"\n{part}\n\n{head}\n{'|---' * (head.count('|') - 1)}|")
        for run in chosen:
            data = options.wbm if run.data == "wbm" else options.small and options.small / f"{run.data}.h5"
            if data is None:
                continue
            if not options.no_train:
                train(run, options.folder, data)
            print(row(run, options.folder, data), flush=True)


if __name__ == "__main__":
    main()
