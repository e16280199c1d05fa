"""A run killed with SIGKILL at random moments beside an undisturbed one, and two gloo processes beside one.

    python tests/benchmarks/bench_resume.py [--materials 4000] [--steps 60] [--kills 4]

Everything goes through `python -m reference_model.train` on the first labels of WBM. Printed are the SHA-256
of the weights (network, average and optimiser moments) and the largest differences of the loss curves.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from labels_of_wbm import read_labels

from reference_model.checkpoint import read_checkpoint
from reference_model.train.state import read_state
from wyckoffkit.dataset import write_dataset
from wyckoffkit.encoding import to_columns
from wyckoffkit.label import parse_label

OPTIONS = ["--threads", "1", "--set", "train.log_steps=1", "--set", "train.validation_materials=64"]


def dataset(path: Path, n: int) -> Path:
    labels = read_labels()[:n]
    n = len(labels)
    columns = to_columns(parse_label(label) for label in labels)
    split = [0] * (n - n // 10) + [1] * (n // 10)
    write_dataset(path, columns, material_id=[str(i) for i in range(n)], label=labels, split=split)
    return path


def command(data: Path, folder: Path, *options: str, processes: int = 1) -> list[str]:
    start = [sys.executable, "-m"]
    if processes > 1:
        start += ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m"]
    return [*start, "reference_model.train", str(data), "-o", str(folder), *OPTIONS, *options]


def run(line: list[str]) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(line, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)


def run_with_kills(line: list[str], kills: int, seconds: tuple[float, float]) -> list[float]:
    """When each session was killed, in seconds after its start; the last session ends by itself."""
    moments = []
    for _ in range(kills):
        process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait = random.uniform(*seconds)
        time.sleep(wait)
        if process.poll() is not None:
            break
        process.kill()
        process.wait()
        moments.append(wait)
    run(line)
    return moments


def digest(folder: Path) -> str:
    """SHA-256 of weights, average and optimiser moments by name."""
    checkpoint = read_checkpoint(folder / "checkpoint.safetensors")
    _, _, moments = read_state(folder, int(checkpoint.training["step"]))
    tensors = {f"weights {k}": v for k, v in checkpoint.weights.items()}
    tensors |= {f"average {k}": v for k, v in checkpoint.ema.items()}
    tensors |= {f"{quantity} {name}": v for (name, quantity), v in moments.items()}
    sha = hashlib.sha256()
    for name in sorted(tensors):
        sha.update(name.encode() + tensors[name].contiguous().numpy().tobytes())
    return sha.hexdigest()


def losses(folder: Path) -> dict[int, float]:
    records = map(json.loads, (folder / "log.jsonl").read_text().splitlines())
    return {r["step"]: r["loss"] for r in records if "loss" in r}


def resume(data: Path, folder: Path, steps: int, kills: int, bf16: str) -> None:
    options = [bf16, "--steps", str(steps), "--validations", "2", "--set", "train.checkpoint_minutes=0.01"]
    start = time.monotonic()
    run(command(data, folder / "whole", *options))
    took = time.monotonic() - start
    moments = run_with_kills(command(data, folder / "killed", *options), kills, (0.3 * took, 0.9 * took))
    a, b = digest(folder / "whole"), digest(folder / "killed")
    print(f"{steps} steps {bf16}, killed {len(moments)} times, after {', '.join(f'{m:.1f}' for m in moments)} s")
    print(f"  undisturbed {a}\n  killed      {b}\n  {'the same, bit for bit' if a == b else 'DIFFERENT'}")
    same = losses(folder / "whole") == losses(folder / "killed")
    print(f"  loss of every step: {'the same' if same else 'DIFFERENT'}", flush=True)


def distributed(data: Path, folder: Path, steps: int) -> None:
    options = ["--no-bf16", "--steps", str(steps), "--validations", "1", "--batch-size", "128"]
    run(command(data, folder / "one", *options, "--accumulate", "2"))
    run(command(data, folder / "two", *options, processes=2))
    one, two = losses(folder / "one"), losses(folder / "two")
    assert one.keys() == two.keys()
    worst = max(abs(one[k] - two[k]) / one[k] for k in one)
    print(f"{steps} steps of 2 × 128 materials: one process with --accumulate 2 beside two gloo processes, float32")
    print(f"  loss at step 1: {one[1]:.6f} and {two[1]:.6f}; at step {steps}: {one[steps]:.6f} and {two[steps]:.6f}")
    print(f"  largest relative difference of a step's loss {worst:.1e}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--materials", type=int, default=4000)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--kills", type=int, default=4)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = dataset(folder / "data.h5", arguments.materials)
        distributed(data, folder, arguments.steps)
        resume(data, folder, arguments.steps, arguments.kills, "--no-bf16")


if __name__ == "__main__":
    main()
