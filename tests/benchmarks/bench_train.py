"""The training engine around the network, and sampling: CPU seconds of one thread.

    python tests/benchmarks/bench_train.py [--steps 30]

Loading, noising, the whole step and a checkpoint are measured in one process on labels of WBM; the figure to watch is
the share of a step that is not the network's forward, backward and optimiser. Then samples a CPU minute of the jump
samplers with the (briefly trained) weights, labels and novelty included.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from bench_network import floor_seconds, matrix_throughput
from labels_of_wbm import read_labels

from reference_model.batch import Batch
from reference_model.config import ModelConfig, TrainConfig
from reference_model.model import load_model
from reference_model.reference import build_reference, write_reference
from reference_model.sample import iterate
from reference_model.train.data import TrainingData
from reference_model.train.engine import Run
from reference_model.train.start import blank_checkpoint
from wyckoffkit.encoding import to_columns
from wyckoffkit.label import parse_label

BATCH = 256


def seconds(call: Callable[[], object], repeats: int) -> float:
    """CPU seconds of one call, after one that does not count."""
    call()
    start = time.process_time()
    for _ in range(repeats):
        call()
    return (time.process_time() - start) / repeats


def bench_step(run: Run, steps: int) -> None:
    batches = run.data.batches()
    loading = seconds(lambda: next(batches), steps)
    clean: Batch = next(batches)[1]
    generator = torch.Generator().manual_seed(0)
    asking = seconds(lambda: run.objective.ask(clean, generator), steps)
    questions = run._questions()
    whole = seconds(lambda: run.step(questions, 0.5), steps)
    saving = seconds(run.save, 3)
    gflops = matrix_throughput(torch.bfloat16 if run.bf16 else torch.float32)
    floor = floor_seconds("compact", clean, gflops)
    print(f"  load a batch      {1e3 * loading:8.2f} ms   {BATCH / loading:10,.0f} materials a CPU s")
    print(f"  noise it          {1e3 * asking:8.2f} ms   {BATCH / asking:10,.0f} materials a CPU s")
    print(f"  whole step        {1e3 * whole:8.2f} ms   {BATCH / whole:10,.0f} materials a CPU s")
    print(
        f"  floor             {1e3 * floor:8.2f} ms   at {gflops:.0f} GFLOP/s; the step is {whole / floor:.1f} times it"
    )
    print(f"  around the network {100 * (loading + asking) / whole:6.2f} % of a step; a checkpoint {saving:.2f} s")


def bench_samplers(folder: Path, n: int) -> None:
    model = load_model(folder)
    slowest = 0.0
    for name in ("count-head", "jump"):
        start = time.process_time()
        for _ in iterate(model, n, sampler=name, batch_size=256, reweight=False):
            pass
        rate = 60 * n / (time.process_time() - start)
        slowest = slowest or rate
        print(f"  {name:14s} {rate:12,.0f} samples a CPU minute   {rate / slowest:7.1f} ×")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--samples", type=int, default=1024)
    options = parser.parse_args()
    torch.set_num_threads(1)
    labels = read_labels()
    columns = to_columns(parse_label(label) for label in labels)
    for objective in ("jump", "d3pm"):
        model = ModelConfig.named("compact", objective=objective)
        pack = build_reference(columns, labels, n_elements=model.n_elements, max_count=model.max_count)
        config = TrainConfig(steps=options.steps * 5, batch_size=BATCH, log_steps=10**9)
        data = TrainingData(columns, model.n_elements, BATCH, 0, "pymatgen")
        with tempfile.TemporaryDirectory() as folder:
            run = Run(Path(folder), blank_checkpoint(model, pack), config, data)
            print(f"compact, {objective}, batch {BATCH}, {'bfloat16' if run.bf16 else 'float32'}, one thread")
            bench_step(run, options.steps)
            if objective == "jump":
                run.train()
                write_reference(Path(folder) / "reference.safetensors", pack)
                bench_samplers(Path(folder), options.samples)


if __name__ == "__main__":
    main()
