"""Structure → label beside pymatgen over both engines, and how much of it is the engine: CPU seconds, one thread.

Structures as in bench_build.py (WBM=FILE, N=…). The engine's own search is the same call in ours and in pymatgen's
road over moyopy (one MoyoDataset, same tolerance), so it bounds what anybody who uses it can gain.
"""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from bench_build import N, pymatgen_functions, rate, structures

from wyckoffkit.symmetry import crystal_from_dict, protostructure_of


def main() -> None:
    warnings.simplefilter("ignore")
    logging.getLogger("moyo").setLevel(logging.ERROR)  # it warns of cells that are not the group's own
    import moyopy
    from pymatgen.core import Structure

    documents = structures()
    crystals = [crystal_from_dict(document) for document in documents]
    cells = [moyopy.Cell(c.lattice.tolist(), c.frac.tolist(), c.numbers.tolist()) for c in crystals]
    engine = 1e6 / rate(lambda cell: moyopy.MoyoDataset(cell, symprec=0.1), cells)
    ours = 1e6 / rate(lambda crystal: str(protostructure_of(crystal)), crystals)
    whole = 1e6 / rate(lambda document: str(protostructure_of(crystal_from_dict(document))), documents)
    print(f"{N} structures, {sum(len(c.numbers) for c in crystals) / N:.1f} atoms on average; CPU µs a structure:")
    print(f"  moyopy.MoyoDataset alone, of a cell that is made         {engine:8.0f}")
    print(f"  ours, arrays → label                                     {ours:8.0f}   moyopy is {engine / ours:.0%}")
    print(f"  ours, JSON dictionary → label                            {whole:8.0f}   moyopy is {engine / whole:.0%}")
    theirs = [Structure.from_dict(document) for document in documents]
    for name, work in pymatgen_functions().items():
        made = 1e6 / rate(work, theirs)
        from_dict = 1e6 / rate(lambda document, work=work: work(Structure.from_dict(document)), documents)
        bound = f", no road over moyopy can be more than {made / engine:.2f}" if "moyopy" in name else ""
        print(
            f"  {name}, Structure → label                  {made:8.0f}   ours is {made / ours:.2f} times as fast{bound}"
        )
        print(f"  {name}, JSON dictionary → label            {from_dict:8.0f}   ours is {from_dict / whole:.2f} times")


if __name__ == "__main__":
    main()
