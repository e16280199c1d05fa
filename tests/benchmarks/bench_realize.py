"""Labels to crystals, ours against PyXtal: one thread, CPU seconds, the same real labels, the same check.

usage: bench_realize.py [LABELS]     default: at most 2,000 of those of labels_of_wbm.py
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported

import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
from bench_codec import real_labels

from wyckoffkit import RealizationError, parse_label
from wyckoffkit.realize import Realization, build, realize, realize_batch
from wyckoffkit.realize.many import generator_for
from wyckoffkit.realize.trial import check, primitive_cell

# PyXtal is slower by far, so it gets every so many labels only.
_PYXTAL_SHARE = 8
# Labels side by side, as the command has them.
_CHUNK = 256


def ours(protostructures):
    for i in range(0, len(protostructures), _CHUNK):
        some = protostructures[i : i + _CHUNK]
        for made in realize_batch(some, [generator_for(0, str(p)) for p in some]):
            outcome = made.trials[-1].outcome
            yield f"accepted in trial {min(len(made.trials), 3)}" if outcome == "accepted" else outcome


def one_by_one(protostructures):
    for protostructure in protostructures:
        try:
            made = realize(protostructure, generator_for(0, str(protostructure)))
            yield f"accepted in trial {min(len(made.trials), 3)}"
        except RealizationError as error:
            yield error.trials[-1].outcome


def pyxtals(protostructures):
    from wyckoffkit.realize.pyxtal_draw import draw
    from wyckoffkit.realize.second import parameters_of

    for protostructure in protostructures:
        drawn = draw(protostructure, generator_for(0, str(protostructure)))
        if isinstance(drawn, str):
            yield "not built"
            continue
        crystal = build(protostructure, *parameters_of(protostructure, *drawn))
        yield check(protostructure, primitive_cell(protostructure, crystal)).outcome


def measure(name, work, protostructures):
    list(work(protostructures[:5]))  # imports
    start = time.process_time()
    outcomes = Counter(work(protostructures))
    spent = time.process_time() - start
    accepted = sum(n for outcome, n in outcomes.items() if outcome.startswith("accepted"))
    rate = accepted / spent
    print(
        f"{name:<12} {rate:8.1f} crystals a CPU second, {accepted} of {len(protostructures)} labels; {dict(outcomes)}"
    )
    return rate


def floor(protostructures):
    """The rate of the check alone, which no way of drawing crystals can surpass: their group found again by moyopy."""
    made = realize_batch(protostructures, [generator_for(0, str(p)) for p in protostructures])
    crystals = [found.primitive() for found in made if isinstance(found, Realization)]
    start = time.process_time()
    for found, crystal in zip((m for m in made if isinstance(m, Realization)), crystals, strict=True):
        check(found.protostructure, crystal, overlap_free=True)
    rate = len(crystals) / (time.process_time() - start)
    print(f"{'check':<12} {rate:8.1f} crystals a CPU second: the most that is possible with this check")
    return rate


def main():
    labels = real_labels(Path(sys.argv[1]) if len(sys.argv) > 1 else None)[:2000]
    protostructures = [parse_label(label) for label in labels]
    rate = measure("side by side", ours, protostructures)
    again = measure("again", ours, protostructures)  # with all tables of sites and pairs in memory
    alone = measure("one by one", one_by_one, protostructures)
    most = floor(protostructures)
    peer = measure("pyxtal", pyxtals, protostructures[::_PYXTAL_SHARE])
    free = np.mean([p.dof for p in protostructures])
    print(
        f"ratio to PyXtal: {rate / peer:.1f} side by side, {again / peer:.1f} again, {alone / peer:.1f} one by one, "
        f"{most / peer:.1f} at most (free parameters a label: {free:.1f})"
    )


if __name__ == "__main__":
    main()
