"""Real WBM labels through realize and relax: do they come back, and to the energy of the real crystal?

For each label the search of `wyckoffkit relax`; and the real crystal (WBM's structure before DFT relaxation) relaxed
freely by the same calculator. Both are kept in a folder, and an interrupted run goes on where it was.

usage: bench_real_labels.py FOLDER [N] [CALCULATOR]     default: 100 chgnet; needs all of WBM
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported

import csv
import gzip
import random
import sys
from pathlib import Path

import numpy as np

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

from real_labels import ALL_OF_WBM as WBM  # noqa: E402

from wyckoffkit import parse_label  # noqa: E402
from wyckoffkit.discover.select import primitive_atoms  # noqa: E402
from wyckoffkit.realize.record import Record  # noqa: E402
from wyckoffkit.relax import RelaxOptions, calculator_named, relax_crystal, relax_many  # noqa: E402
from wyckoffkit.relax.search import crystal_fields, label_of  # noqa: E402
from wyckoffkit.symmetry.crystal import Crystal  # noqa: E402

MOST_ATOMS = 20
ATTEMPTS = 5
BATCH = 8
NEAR = 0.05  # eV/atom


def real_crystals(n, seed=0):
    """(label, id, whether DFT kept the space group, crystal) of n materials drawn from WBM."""
    with gzip.open(WBM / "wbm_labels.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    data = np.load(WBM / "wbm_initial_structures.npz")
    ids, sizes, lattices = data["material_id"], data["n_sites"], data["lattice"]
    numbers, frac = data["numbers"], data["frac"]
    ends = np.cumsum(sizes)
    place = {str(name): i for i, name in enumerate(ids)}
    random.Random(seed).shuffle(rows)
    for row in rows:
        i = place[row["material_id"]]
        if sizes[i] > MOST_ATOMS or primitive_atoms(parse_label(row["label"])) > MOST_ATOMS:
            continue
        span = slice(ends[i] - sizes[i], ends[i])
        crystal = Crystal(lattices[i].astype(float), frac[span].astype(float), numbers[span].astype(int))
        yield row["label"], row["material_id"], row["keeps_space_group"] == "1", crystal
        n -= 1
        if not n:
            return


def real_rows(chosen, folder, name, options):
    """The real crystals relaxed, one row each."""
    calculator = calculator_named(name)
    with Record(folder / "real.jsonl", "real crystals", {"calculator": calculator.name}) as record:
        rows = {row["material_id"]: row for row in record.done}
        for label, material_id, keeps, crystal in chosen:
            if material_id not in rows:
                made = relax_crystal(crystal, calculator, options.stage, fix_symmetry=False)
                row = {"material_id": material_id, "label": label, "keeps": keeps, "outcome": made.outcome}
                if made.crystal is not None:
                    row |= {"energy": made.energy, "label_free": label_of(made.crystal, options.symprec)}
                    row |= crystal_fields(made.crystal)
                record.append([row])
                rows[material_id] = row
            yield rows[material_id]


def main():
    if len(sys.argv) < 2 or WBM is None:
        print("skipped: takes hours, give it a folder; and all of WBM must be at hand")
        return
    folder = Path(sys.argv[1])
    n = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    name = sys.argv[3] if len(sys.argv) > 3 else "chgnet"
    options = RelaxOptions(attempts=ATTEMPTS)
    chosen = list(real_crystals(n))
    real = real_rows(chosen, folder, name, options)
    found = relax_many([parse_label(label) for label, *_ in chosen], folder, options, calculator=name, batch=BATCH)
    rows = {}
    pairs = []
    for label, *_ in chosen:
        while label not in rows and (row := next(found, None)) is not None:
            rows[row["label"]] = row
        true = next(real)
        row = rows[label]
        pairs.append((row, true))
        apart = row.get("energy_free", np.nan) - true.get("energy", np.nan)
        print(f"{label:<44} {row['outcome']:<8} {apart:+.3f} eV/atom, kept {row.get('kept')}", flush=True)
    tell(pairs)


def tell(pairs):
    for words, some in (("all", pairs), ("group kept by DFT", [p for p in pairs if p[1]["keeps"]])):
        relaxed = [(row, true) for row, true in some if row["outcome"] == "relaxed" and "energy" in true]
        print(
            f"{words}: {len(some)} labels, {len(relaxed)} relaxed, of which {sum(row['agreed'] for row, _ in relaxed)} "
            f"met the rule of two; {sum(row['kept'] for row, _ in relaxed)} kept their label when released (the real "
            f"crystals, not rattled: {sum(is_own(true) for _, true in relaxed)})"
        )
        for name, key in (("symmetry held", "energy"), ("released", "energy_free")):
            apart = np.array([row[key] - true["energy"] for row, true in relaxed])
            print(
                f"  {name}: {(np.abs(apart) <= NEAR).sum()} within {NEAR} eV/atom of the real crystal, "
                f"{(apart < -NEAR).sum()} lower, {(apart > NEAR).sum()} higher"
            )


def is_own(true):
    return true["label_free"] == str(parse_label(true["label"]).canonical("affine"))


if __name__ == "__main__":
    main()
