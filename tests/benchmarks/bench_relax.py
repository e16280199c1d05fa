"""Relaxations with the symmetry held, in batches against ASE one at a time: one thread, CPU seconds, the same crystals.

usage: bench_relax.py [N] [CALCULATOR]     default: 16 crystals of real labels, chgnet
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported

import sys
import time
import warnings
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from wyckoffkit import RealizationError, parse_label  # noqa: E402
from wyckoffkit.realize import realize  # noqa: E402
from wyckoffkit.realize.many import generator_for  # noqa: E402
from wyckoffkit.relax import StageOptions, calculator_named, relax_crystal  # noqa: E402
from wyckoffkit.relax.descent import descend  # noqa: E402
from wyckoffkit.relax.evaluate import evaluate  # noqa: E402

MOST_ATOMS = 12
BATCH = 16


def crystals(n, calculator):
    """Of the first real labels that the calculator knows and that have few atoms."""
    found = []
    for label in (ROOT / "tests" / "data" / "wbm_labels.txt").read_text().split():
        try:
            protostructure = parse_label(label)
            calculator.check(protostructure.composition)
            crystal = realize(protostructure, generator_for(0, label)).primitive()
        except RealizationError:
            continue
        if len(crystal.numbers) <= MOST_ATOMS:
            found.append(crystal)
        if len(found) == n:
            break
    return found


def together(started, calculator, options):
    """All of them side by side, those that are done replaced by the next."""
    waiting, running, done = list(enumerate(started)), [], {}
    while waiting or running:
        while waiting and len(running) < BATCH:
            i, crystal = waiting.pop(0)
            path = descend(crystal, options, fix_symmetry=True)
            running.append((i, path, next(path)))
        answers = evaluate(calculator, [crystal for _, _, crystal in running])
        before, running = running, []
        for (i, path, _), answer in zip(before, answers, strict=True):
            try:
                running.append((i, path, path.send(answer)))
            except StopIteration as end:
                done[i] = end.value
    return [done[i] for i in range(len(started))]


def measure(name, work, peer=None):
    start = time.process_time()
    relaxed = work()
    spent = time.process_time() - start
    rate = len(relaxed) / spent
    steps = sum(r.steps for r in relaxed)
    ok = sum(r.outcome == "relaxed" for r in relaxed)
    ratio = f"   {rate / peer:5.2f} times ASE" if peer else ""
    print(
        f"{name:<28} {rate:7.3f} a CPU second, {ok} of {len(relaxed)} relaxed, "
        f"{1e3 * spent / steps:6.1f} ms a step{ratio}"
    )
    return rate, np.array([r.energy for r in relaxed])


def main():
    warnings.simplefilter("ignore")
    try:
        calculator = calculator_named(sys.argv[2] if len(sys.argv) > 2 else "chgnet")
    except RealizationError as error:
        print(f"skipped: {error}")
        return
    started = crystals(int(sys.argv[1]) if len(sys.argv) > 1 else 16, calculator)
    # Before time is taken: imports and tables.
    for some in (started[:1], started[:2]):
        evaluate(calculator, some)

    def alone(optimizer, **few):
        options = StageOptions(optimizer=optimizer, **few)
        return [relax_crystal(crystal, calculator, options, fix_symmetry=True) for crystal in started]

    for optimizer in ("BFGS", "modes"):
        alone(optimizer, steps=1)
    peer, theirs = measure("ASE BFGS, FixSymmetry", lambda: alone("BFGS"))
    measure("modes, one at a time", lambda: alone("modes"), peer)
    _, ours = measure(f"modes, {BATCH} side by side", lambda: together(started, calculator, StageOptions()), peer)
    apart = np.abs(ours - theirs)
    print(
        f"energies: {(apart < 0.005).sum()} of {len(apart)} within 5 meV/atom of ASE's; largest {np.nanmax(apart):.3f}"
    )


if __name__ == "__main__":
    main()
