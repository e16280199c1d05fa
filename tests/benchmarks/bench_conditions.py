"""Conditions through the shipped model: do they hold, how many samples differ, how many particles count, what it costs.

    python tests/benchmarks/bench_conditions.py [-n 32] [-o rows.jsonl]

Each label is parsed anew and asked by a function that knows nothing of masks. Intervals are Wilson's, 95 %.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reference_model.model import load_model
from reference_model.sample.asked import iterate
from reference_model.sample.conditioned import Fulfilment
from reference_model.sample.filters import predicted_energy
from wyckoffkit import Protostructure
from wyckoffkit.collapse import collapses
from wyckoffkit.encoding import to_columns
from wyckoffkit.metrics import proportion

Holds = Callable[[Protostructure], bool]


def symbols(p: Protostructure) -> set[str]:
    return set(p.composition)


def ratio(p: Protostructure) -> dict[str, int]:
    divisor = gcd(*p.composition.values())
    return {element: n // divisor for element, n in p.composition.items()}


def energy(p: Protostructure) -> float:
    return float(predicted_energy(to_columns([p]))[0])


def holds(p: Protostructure, letter: str, element: str) -> bool:
    return any(orbit.letter == letter and orbit.element == element for orbit in p.orbits)


REQUESTS: list[tuple[dict[str, Any], Holds]] = [
    ({"space_groups": [62]}, lambda p: p.space_group.number == 62),
    ({"elements": "Li,O,Fe", "require": "Li"}, lambda p: "Li" in symbols(p) <= {"Li", "O", "Fe"}),
    ({"forbid": "O,F,H,Tc,Pm"}, lambda p: not symbols(p) & {"O", "F", "H", "Tc", "Pm"}),
    ({"require": "Ba,O"}, lambda p: {"Ba", "O"} <= symbols(p)),
    ({"require": "Pu,O"}, lambda p: {"Pu", "O"} <= symbols(p)),
    ({"chemical_system": "Li-Mn-O"}, lambda p: symbols(p) == {"Li", "Mn", "O"}),
    ({"chemical_system": "Sc-Rh-Ge"}, lambda p: symbols(p) == {"Sc", "Rh", "Ge"}),
    ({"chemical_system": "Tm-Re-B"}, lambda p: symbols(p) == {"Tm", "Re", "B"}),
    ({"chemical_system": "Ac-Os-Si"}, lambda p: symbols(p) == {"Ac", "Os", "Si"}),
    ({"chemical_system": "Pu-Bi"}, lambda p: symbols(p) == {"Pu", "Bi"}),
    ({"max_atoms": 8}, lambda p: p.n_atoms <= 8),
    ({"composition": "LiMn2O4"}, lambda p: ratio(p) == {"Li": 1, "Mn": 2, "O": 4}),
    (
        {"composition": "LiMn2O4", "space_groups": [227]},
        lambda p: ratio(p) == {"Li": 1, "Mn": 2, "O": 4} and p.space_group.number == 227,
    ),
    ({"anonymous": "AB2C4"}, lambda p: sorted(ratio(p).values()) == [1, 2, 4]),
    (
        {"anonymous": "AB3", "max_atoms": 20, "forbid": "O"},
        lambda p: sorted(ratio(p).values()) == [1, 3] and p.n_atoms <= 20 and "O" not in symbols(p),
    ),
    ({"prototype": "ABC3_cP5_221_a_b_c"}, lambda p: str(p.prototype()) == "ABC3_cP5_221_a_b_c"),
    (
        {"prototype": "AB2C4_cF56_227_a_d_e", "require": "O"},
        lambda p: str(p.prototype()) == "AB2C4_cF56_227_a_d_e" and "O" in symbols(p),
    ),
    ({"sites": "a=Ca,b=O", "space_groups": [225]}, lambda p: {"Ca", "O"} <= symbols(p) and p.space_group.number == 225),
    ({"sites": "c=O", "space_groups": [62], "max_atoms": 30}, lambda p: "O" in symbols(p) and p.n_atoms <= 30),
    ({"no_collapse": True, "max_atoms": 12}, lambda p: not collapses(p) and p.n_atoms <= 12),
    ({"chemical_system": "Na-Fe-O", "novel_only": True}, lambda p: symbols(p) == {"Na", "Fe", "O"}),
    ({"e_form": "< -2"}, lambda p: energy(p) <= -2),
    ({"e_form": "-0.1..0.1", "elements": "Al,Ni,Ti,Fe"}, lambda p: -0.1 <= energy(p) <= 0.1),
    ({"e_form": "< -3.2", "require": "O"}, lambda p: energy(p) <= -3.2 and "O" in symbols(p)),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-n", type=int, default=32)
    parser.add_argument("-o", type=Path, help="Append rows as JSON lines; rows that are there are not measured again.")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    done = set()
    if arguments.o and arguments.o.exists():
        done = {json.loads(line)["request"] for line in arguments.o.read_text().splitlines()}
    model = load_model()
    for request, is_met in REQUESTS:
        name = " ".join(f"--{key.replace('_', '-')} {value}" for key, value in request.items())
        if name in done:
            continue
        fulfilment, begun = Fulfilment(), time.process_time()
        samples = list(iterate(model, arguments.n, fulfilment=fulfilment, reweight=False, **request))
        seconds = time.process_time() - begun
        met = proportion(sum(is_met(s.protostructure) for s in samples), len(samples))
        row = {
            "request": name,
            "n": len(samples),
            "met": [met.value, met.low, met.high],
            "distinct": len({s.label for s in samples}),
            "effective": float(np.mean(fulfilment.effective)) if fulfilment.effective else None,
            "particles": fulfilment.particles,
            "probability": float(np.mean(fulfilment.probability)) if fulfilment.probability else None,
            "cpu_seconds": seconds,
        }
        sys.stdout.write(json.dumps(row) + "\n")
        sys.stdout.flush()
        if arguments.o:
            with open(arguments.o, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
