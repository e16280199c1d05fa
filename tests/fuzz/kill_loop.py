"""Kills commands at random moments until they come to their end: `python tests/fuzz/kill_loop.py --kills 20`.

Each command is run undisturbed once; then it is started, killed with SIGKILL after a random time, and started again,
until it has been killed so often. It is then left to end. Its output must be, byte for byte, that of the undisturbed
run, and no file under a final name may ever be incomplete. Prints a digest for each command.
"""

from __future__ import annotations

import argparse
import bz2
import hashlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))
LABELS = TESTS / "data" / "wbm_labels.txt"
PYTHON = sys.executable
TINY = ["--set", "model.hidden_size=16", "--set", "model.n_layers=1", "--no-bf16", "--threads", "1"]


@dataclass(frozen=True)
class Killed:
    """A command that is run in a folder of its own, and what it leaves there."""

    name: str
    command: Callable[[Path], list[str]]
    """By the folder where inputs are made."""
    outputs: tuple[str, ...]
    """Final names."""
    at_the_end: bool = True
    """They appear at the end, not while the command works."""


def digest(paths: list[Path]) -> str:
    sha = hashlib.sha256()
    for path in paths:
        sha.update(content(path))
    return sha.hexdigest()


def content(path: Path) -> bytes:
    """The bytes; of a checkpoint the weights and their average, since its header tells how long the run took.

    The labels of a relaxation stand in the order in which they are done, which depends on those relaxed beside them.
    """
    if path.name.startswith("relaxed."):
        return b"".join(sorted(path.read_bytes().splitlines(keepends=True)))
    if path.name != "checkpoint.safetensors":
        return path.read_bytes()
    from safetensors.numpy import load_file

    tensors = load_file(path)
    return b"".join(name.encode() + tensors[name].tobytes() for name in sorted(tensors))


def wbm(folder: Path) -> Path:
    """Real structures in the authors' layout, many times over."""
    from real_structures import in_wbm_layout, real_structures

    structures = [real.structure for real in real_structures()] * 30
    path = folder / "wbm.json.bz2"
    if not path.exists():
        path.write_bytes(bz2.compress(in_wbm_layout(structures)))
    return path


def dataset(folder: Path) -> Path:
    path = folder / "labels.h5"
    if not path.exists():
        subprocess.run([PYTHON, "-m", "wyckoffkit.cli.main", "build-dataset", LABELS, "-o", path], check=True)
    return path


def metals(folder: Path) -> Path:
    """Labels of all pairs of metals that EMT knows, in four prototypes."""
    prototypes = ("AB_cP2_221_a_b", "AB_tP2_123_a_d", "AB3_cP4_221_a_c", "AB2_hP3_164_a_d")
    pairs = combinations(("Ag", "Al", "Au", "Cu", "Ni", "Pd", "Pt"), 2)
    path = folder / "metals.txt"
    path.write_text("".join(f"{prototype}:{a}-{b}\n" for a, b in pairs for prototype in prototypes), encoding="utf-8")
    return path


COMMANDS = (
    Killed(
        "build-dataset",
        lambda inputs: [PYTHON, "-m", "wyckoffkit.cli.main", "build-dataset", str(wbm(inputs)), "-o",
                        "x.h5", "--workers", "1"],
        ("x.h5",),
    ),
    Killed(
        "sample",
        lambda inputs: [PYTHON, "-m", "reference_model.sample", "-n", "500", "-o", "x.txt", "--threads",
                        "1"],
        ("x.txt",),
    ),
    Killed(
        "train",
        lambda inputs: [PYTHON, "-m", "reference_model.train", str(dataset(inputs)), "-o", "run",
                        "--steps", "400", "--validations", "4", "--set", "train.checkpoint_minutes=0.03", *TINY],
        ("run/checkpoint.safetensors",),
        at_the_end=False,
    ),
    Killed(
        "realize",
        lambda inputs: [PYTHON, "-m", "wyckoffkit.cli.main", "realize", str(LABELS), "-o", "out"],
        ("out/realized.xyz",),
    ),
    Killed(
        "relax",
        lambda inputs: [PYTHON, "-m", "wyckoffkit.cli.main", "relax", str(metals(inputs)), "-o", "out",
                        "--calculator", "emt"],
        ("out/relaxed.jsonl", "out/relaxed.xyz"),
    ),
    Killed(
        "evaluate",
        lambda inputs: [PYTHON, "-m", "reference_model.evaluate", str(LABELS), "--json", "x.json",
                        "--report", "x.html"],
        ("x.json", "x.html"),
    ),
)  # fmt: skip


def run_through(command: list[str], folder: Path) -> float:
    """Seconds that the command takes undisturbed."""
    begun = time.monotonic()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\nfails: {done.stderr}")
    return time.monotonic() - begun


def killed_through(
    command: list[str], last: list[Path], folder: Path, seconds: float, kills: int, generator: random.Random
) -> int:
    """Kill the command up to `kills` times at random moments and let it end; how often it was killed at work."""
    hit = 0
    for _ in range(kills):
        if last and all(path.exists() for path in last):
            return hit  # killed between its last word and its end
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            process.wait(timeout=generator.uniform(0.1, 1.1) * seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            hit += 1
        _, told = process.communicate()
        if process.returncode == 0:
            return hit
        if process.returncode > 0:
            raise SystemExit(f"after {hit} kills {' '.join(command)}\nfails: {told}")
    if not (last and all(path.exists() for path in last)):
        run_through(command, folder)
    return hit


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--only", choices=[entry.name for entry in COMMANDS])
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    generator = random.Random(chosen.seed)
    wrong = 0
    for entry in COMMANDS:
        if chosen.only not in (None, entry.name):
            continue
        with TemporaryDirectory() as top:
            command = entry.command(Path(top))
            calm = Path(top) / "calm"
            calm.mkdir()
            seconds = run_through(command, calm)
            right, kills, ends, others = digest([calm / name for name in entry.outputs]), 0, 0, 0
            while kills < chosen.kills:
                folder = Path(top) / f"killed-{ends}"
                folder.mkdir()
                last = [folder / name for name in entry.outputs] if entry.at_the_end else []
                kills += killed_through(command, last, folder, seconds, chosen.kills - kills, generator)
                others += digest([folder / name for name in entry.outputs]) != right
                ends += 1
            found = f"{others} OTHERS THAN" if others else "all"
            sys.stdout.write(f"{entry.name}: {kills} kills, {ends} ends, {found} {right[:16]}\n")
            sys.stdout.flush()
            wrong += others
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
