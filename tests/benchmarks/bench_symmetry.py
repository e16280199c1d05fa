"""Structure → label beside pymatgen over both engines, and how much of it is the engine: CPU seconds, one thread.

Structures as in bench_build.py (WBM=FILE, N=…). The engine's own search is the same call in ours and in pymatgen's
road over moyopy (one MoyoDataset, same tolerance), so it bounds what anybody who uses it can gain. All roads take
turns, three times; of each structure's times the least counts, since other processes disturb the caches. What ours
remembers of moyopy's answers is forgotten before each structure, but in one road, where it is asked a second time.
"""

from __future__ import annotations

import logging
import sys
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from bench_build import N, pymatgen_functions, structures, unaided

from wyckoffkit.symmetry import crystal_from_dict, protostructure_of

ROUNDS = 3


def least(roads):
    """Mean µs of each road, {name: (work, items)}; of each item the least of some rounds."""
    best = {name: [float("inf")] * len(items) for name, (_, items) in roads.items()}
    for _ in range(ROUNDS):
        for name, (work, items) in roads.items():
            work(items[0])
            for i, item in enumerate(items):
                start = time.process_time()
                work(item)
                best[name][i] = min(best[name][i], time.process_time() - start)
    return {name: 1e6 * sum(times) / len(times) for name, times in best.items()}


def main() -> None:
    warnings.simplefilter("ignore")
    logging.getLogger("moyo").setLevel(logging.ERROR)  # it warns of cells that are not the group's own
    import moyopy
    from pymatgen.core import Structure

    documents = structures()
    crystals = [crystal_from_dict(document) for document in documents]
    cells = [moyopy.Cell(c.lattice.tolist(), c.frac.tolist(), c.numbers.tolist()) for c in crystals]
    made = [Structure.from_dict(document) for document in documents]
    roads = {
        "moyopy": (lambda cell: moyopy.MoyoDataset(cell, symprec=0.1), cells),
        "ours": (lambda crystal: str(unaided(crystal)), crystals),
        "ours, JSON": (lambda document: str(unaided(crystal_from_dict(document))), documents),
    }
    for name, work in pymatgen_functions().items():
        roads[name] = work, made
        roads[f"{name}, JSON"] = lambda document, work=work: work(Structure.from_dict(document)), documents
    found = least(roads)
    # Nothing is forgotten between these rounds: the first asks moyopy, and the least is of the others.
    known = least({"known": (lambda crystal: str(protostructure_of(crystal)), crystals)})["known"]
    print(f"{N} structures, {sum(len(c.numbers) for c in crystals) / N:.1f} atoms on average; CPU µs a structure:")
    print(f"  moyopy.MoyoDataset alone, of a cell that is made      {found['moyopy']:8.0f}")
    for name in ("ours", "ours, JSON"):
        share = found["moyopy"] / found[name]
        print(f"  {name:<20} → label                          {found[name]:8.0f}   moyopy is {share:.0%} of it")
    print(f"  {'ours':<20} of cell, coordinates and kinds met before {known:6.0f}")
    for name, road in found.items():
        if name.startswith("pymatgen"):
            ours = found["ours, JSON" if name.endswith("JSON") else "ours"]
            bound = f" (of {road / found['moyopy']:.2f} at most)" if "moyopy" in name else ""
            print(f"  {name:<24} → label                      {road:8.0f}   ours is {road / ours:.2f} times{bound}")


if __name__ == "__main__":
    main()
