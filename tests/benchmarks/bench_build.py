"""Structures → labels → dataset, beside what people use today, on the same structures in the same run.

CPU seconds, one thread. Structures are those of tests/data, or with WBM=FILE those of the shared WBM archive (npz).
Compared: pymatgen's label functions with spglib and with moyopy, on Structures that are made beforehand.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wyckoffkit.build import build_dataset
from wyckoffkit.dataset import read_dataset, statistics
from wyckoffkit.symmetry import crystal_from_dict, protostructure_of

DATA = Path(__file__).resolve().parents[1] / "data" / "wbm_structures.jsonl"
N = int(os.environ.get("N", "500"))


def structures() -> list[dict[str, Any]]:
    """N structures as pymatgen dictionaries."""
    archive = os.environ.get("WBM")
    if not archive:
        found = [json.loads(line)["structure"] for line in DATA.read_text().splitlines()]
        return (found * (N // len(found) + 1))[:N]
    from wyckoffkit.elements import SYMBOLS

    data = dict(np.load(archive).items())
    ends = np.cumsum(data["n_sites"].astype(np.int64))
    chosen = np.sort(np.random.default_rng(0).choice(len(ends), N, replace=False))
    found = []
    for i in chosen:
        at = slice(ends[i] - data["n_sites"][i], ends[i])
        sites = [
            {"species": [{"element": SYMBOLS[z], "occu": 1}], "abc": frac}
            for z, frac in zip(data["numbers"][at].tolist(), data["frac"][at].tolist(), strict=True)
        ]
        found.append(
            {
                "@module": "pymatgen.core.structure",
                "@class": "Structure",
                "lattice": {"matrix": data["lattice"][i].tolist()},
                "sites": sites,
            }
        )
    return found


def rate(work: Callable[[Any], object], items: Sequence[Any]) -> float:
    """Items a CPU second; the first is done before, for imports and tables."""
    work(items[0])
    start = time.process_time()
    for item in items:
        work(item)
    return len(items) / (time.process_time() - start)


def main() -> None:
    documents = structures()
    crystals = [crystal_from_dict(document) for document in documents]
    ours = rate(protostructure_of, crystals)
    spglib = rate(lambda crystal: protostructure_of(crystal, engine="spglib"), crystals)
    whole = rate(lambda document: str(protostructure_of(crystal_from_dict(document))), documents)
    print(f"{N} structures, {np.mean([len(c.numbers) for c in crystals]):.1f} atoms on average; a CPU second:")
    print(f"  ours, arrays → canonical label          {ours:8.0f}   (with spglib {spglib:.0f})")
    print(f"  ours, dictionaries → canonical label    {whole:8.0f}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pymatgen.analysis.prototypes import (
            get_protostructure_label_from_moyopy,
            get_protostructure_label_from_spglib,
        )
        from pymatgen.core import Structure

        theirs = [Structure.from_dict(document) for document in documents]
        peers = {
            "pymatgen + spglib": get_protostructure_label_from_spglib,
            "pymatgen + moyopy": get_protostructure_label_from_moyopy,
        }
        for name, work in peers.items():
            found = rate(work, theirs)
            agree = sum(
                work(structure) == str(protostructure_of(crystal))
                for structure, crystal in zip(theirs[:200], crystals, strict=False)
            )
            print(
                f"  {name}, Structures → label  {found:8.0f}   ours is {ours / found:.1f} times as fast, "
                f"{agree} of {min(200, N)} labels equal"
            )
    benchmark_build(documents)


def benchmark_build(documents: list[dict[str, Any]]) -> None:
    """The whole build, JSON lines to HDF5, in this process; then the size and the load of the file."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "x.jsonl"
        with open(source, "w") as file:
            for i, document in enumerate(documents):
                file.write(json.dumps({"material_id": f"x-{i}", "structure": document}) + "\n")
        start = time.process_time()
        build_dataset([source], Path(folder) / "x.h5")
        seconds = time.process_time() - start
        size = (Path(folder) / "x.h5").stat().st_size
        print(f"  build-dataset, JSON → HDF5              {N / seconds:8.0f}   {size / N:.1f} bytes a material")
    path = os.environ.get("DATASET")
    if path:
        start = time.process_time()
        data = read_dataset(path)
        loaded = time.process_time() - start
        statistics(data.columns, n_elements=data.n_elements)
        counted = time.process_time() - start - loaded
        size = Path(path).stat().st_size
        print(
            f"  {path}: {len(data):,} materials, {size / len(data):.1f} bytes each "
            f"({29_600 * len(data) / size:,.0f} times smaller than 29.6 kB); read in {loaded:.2f} s, "
            f"statistics in {counted:.2f} s"
        )


if __name__ == "__main__":
    main()
