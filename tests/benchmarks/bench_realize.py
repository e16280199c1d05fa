"""Labels to crystals, ours against PyXtal: one thread, CPU seconds, the same real labels, the same check.

usage: bench_realize.py [LABELS]     default: 1,000 of ../shared/data/wbm/wbm_labels.csv.gz,
else tests/data/wbm_labels.txt
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported

import random
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests.benchmarks.bench_codec import WBM, wbm_labels  # noqa: E402
from wyckoffkit import RealizationError, parse_label  # noqa: E402
from wyckoffkit.realize import build, realize  # noqa: E402
from wyckoffkit.realize.many import generator_for  # noqa: E402
from wyckoffkit.realize.trial import check, primitive_cell  # noqa: E402

# PyXtal is slower by far, so it gets every tenth label.
_PYXTAL_SHARE = 4


def ours(protostructure, generator):
    try:
        return f"accepted in trial {min(len(realize(protostructure, generator).trials), 3)}"
    except RealizationError as error:
        return error.trials[-1].outcome


def pyxtals(protostructure, generator):
    from wyckoffkit.realize.pyxtal_draw import draw
    from wyckoffkit.realize.second import parameters_of

    drawn = draw(protostructure, generator)
    if isinstance(drawn, str):
        return "not built"
    lattice, parameters = parameters_of(protostructure, *drawn)
    return check(protostructure, primitive_cell(protostructure, build(protostructure, lattice, parameters))).outcome


def measure(name, work, protostructures):
    for protostructure in protostructures[:5]:  # tables and imports
        work(protostructure, generator_for(1, str(protostructure)))
    start = time.process_time()
    outcomes = Counter(work(p, generator_for(0, str(p))) for p in protostructures)
    spent = time.process_time() - start
    accepted = sum(n for outcome, n in outcomes.items() if outcome.startswith("accepted"))
    rate = accepted / spent
    print(
        f"{name:<10} {rate:8.1f} crystals a CPU second, {accepted} of {len(protostructures)} labels; {dict(outcomes)}"
    )
    return rate


def floor(protostructures):
    """The rate of the check alone, which no way of drawing crystals can surpass: their group found again by moyopy."""
    crystals = []
    for protostructure in protostructures:
        try:
            made = realize(protostructure, generator_for(0, str(protostructure)))
            crystals.append((protostructure, made.primitive()))
        except RealizationError:
            continue
    start = time.process_time()
    for protostructure, crystal in crystals:
        check(protostructure, crystal, overlap_free=True)
    rate = len(crystals) / (time.process_time() - start)
    print(f"{'check':<10} {rate:8.1f} crystals a CPU second: the most that is possible with this check")
    return rate


def main():
    if len(sys.argv) > 1:
        labels = Path(sys.argv[1]).read_text().split()
    elif WBM.exists():
        labels = random.Random(2).sample(wbm_labels(WBM), 1000)
    else:
        labels = (ROOT / "tests" / "data" / "wbm_labels.txt").read_text().split()
    protostructures = [parse_label(label) for label in labels]
    rate = measure("wyckoffkit", ours, protostructures)
    most = floor(protostructures)
    peer = measure("pyxtal", pyxtals, protostructures[::_PYXTAL_SHARE])
    free = np.mean([p.dof for p in protostructures])
    print(f"ratio      {rate / peer:8.1f}, {most / peer:.1f} at most   (free parameters a label: {free:.1f})")


if __name__ == "__main__":
    main()
