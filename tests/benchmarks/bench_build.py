"""Structures → labels → dataset, beside what people use today, on the same structures in the same run.

CPU seconds, one thread. Structures are those of tests/data, or with WBM=FILE N of those of the shared WBM archive
(npz): drawn at random for labels alone, with pymatgen's functions on Structures that are made beforehand; a run of the
archive, as a build meets them, for one file of WBM's own layout (json.bz2) to labels as users do it, and to HDF5; then
builds with 0, 1 and 2 workers: CPU seconds and memory of each process. DATASET=FILE: size and load of a whole dataset.
Of a structure with cell, coordinates and kinds of an earlier one the symmetry is known; labels alone forget each.
"""

from __future__ import annotations

import bz2
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from real_structures import in_wbm_layout, real_structures

from wyckoffkit.build import build_dataset
from wyckoffkit.dataset import read_dataset, statistics
from wyckoffkit.symmetry import KNOWN, crystal_from_dict, protostructure_of
from wyckoffkit.symmetry.search import ENGINES

N = int(os.environ.get("N", "500"))


def structures(n: int = N, *, in_order: bool = False) -> list[dict[str, Any]]:
    """n structures as pymatgen dictionaries: from an archive those that follow a random one, or at random."""
    archive = os.environ.get("WBM")
    if not archive:
        found = [real.structure for real in real_structures()]
        return (found * (n // len(found) + 1))[:n]
    from wyckoffkit.elements import SYMBOLS

    data = dict(np.load(archive).items())
    ends = np.cumsum(data["n_sites"].astype(np.int64))
    rng = np.random.default_rng(0)
    begin = int(rng.integers(len(ends) - n + 1))
    chosen = np.arange(begin, begin + n) if in_order else np.sort(rng.choice(len(ends), n, replace=False))
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


def unaided(crystal: Any, **options: Any) -> Any:
    """The protostructure, found as if no crystal had come before."""
    KNOWN.clear()
    return protostructure_of(crystal, **options)


def pymatgen_functions() -> dict[str, Callable[[Any], str]]:
    """Labels by pymatgen, over both symmetry libraries."""
    from pymatgen.analysis.prototypes import (
        get_protostructure_label_from_moyopy,
        get_protostructure_label_from_spglib,
    )

    return {
        "pymatgen + spglib": get_protostructure_label_from_spglib,
        "pymatgen + moyopy": get_protostructure_label_from_moyopy,
    }


def benchmark_labels(documents: list[dict[str, Any]]) -> None:
    """Structures in memory → labels."""
    from pymatgen.core import Structure

    crystals = [crystal_from_dict(document) for document in documents]
    ours = rate(unaided, crystals)
    spglib = rate(lambda crystal: protostructure_of(crystal, engine="spglib"), crystals)
    whole = rate(lambda document: str(unaided(crystal_from_dict(document))), documents)
    print(f"{N} structures, {np.mean([len(c.numbers) for c in crystals]):.1f} atoms on average; a CPU second:")
    bare = [rate(lambda crystal, engine=engine: engine(crystal, 0.1, None), crystals) for engine in ENGINES.values()]
    print(f"  moyopy and spglib alone, no more than that may be reached: {bare[0]:.0f} and {bare[1]:.0f}")
    print(f"  ours, arrays → canonical label          {ours:8.0f}   (with spglib {spglib:.0f})")
    print(f"  ours, dictionaries → canonical label    {whole:8.0f}")
    theirs = [Structure.from_dict(document) for document in documents]
    for name, work in pymatgen_functions().items():
        found = rate(work, theirs)
        agree = sum(
            work(structure) == str(protostructure_of(crystal))
            for structure, crystal in zip(theirs[:200], crystals, strict=False)
        )
        print(
            f"  {name}, Structures → label  {found:8.0f}   ours is {ours / found:.1f} times as fast, "
            f"{agree} of {min(200, N)} labels equal"
        )


def write_wbm(path: Path, documents: list[dict[str, Any]]) -> None:
    """In the layout of the authors' WBM file."""
    path.write_bytes(bz2.compress(in_wbm_layout(documents), 5))


def benchmark_file(source: Path) -> None:
    """One file of structures → labels, as users do it and with `build_dataset`; all from the same bytes."""
    from pymatgen.core import Structure

    KNOWN.clear()
    start = time.process_time()
    build_dataset([source], source.with_suffix(".h5"))
    ours = N / (time.process_time() - start)
    print(f"  of {N} structures in a file, the search was made for {len(KNOWN)}")
    size = source.with_suffix(".h5").stat().st_size
    print(f"  build-dataset, json.bz2 → HDF5          {ours:8.0f}   {size / N:.1f} bytes a material")
    for name, work in pymatgen_functions().items():
        start = time.process_time()
        with bz2.open(source) as file:
            documents = json.load(file)
        labels = [work(Structure.from_dict(document["org"])) for document in documents.values()]
        theirs = len(labels) / (time.process_time() - start)
        print(f"  {name}, json.bz2 → labels   {theirs:8.0f}   ours is {ours / theirs:.1f} times as fast")


PROCESS = """
import json, resource, sys, time
from wyckoffkit.build import build_dataset
if __name__ == "__main__":
    start = time.perf_counter()
    build_dataset(sys.argv[1:2], sys.argv[2], workers=int(sys.argv[3]))
    wall = time.perf_counter() - start
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    # ru_maxrss is inherited from the process that started this one, VmHWM is not.
    memory = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
    seconds = [u.ru_utime + u.ru_stime for u in used]
    print(json.dumps([wall, *seconds, memory / 1024, used[1].ru_maxrss / 1024]))
"""


def benchmark_workers(source: Path) -> None:
    """CPU seconds of one process beside those of a main process and its workers: what parallel work costs."""
    script = source.with_name("process.py")
    script.write_text(PROCESS)
    alone = 0.0
    for workers in (0, 1, 2):
        command = [sys.executable, str(script), str(source), str(source.with_name(f"{workers}.h5")), str(workers)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        wall, main, children, memory, memory_child = json.loads(done.stdout)
        alone = alone or main
        print(
            f"  {workers} workers: main {main:5.1f} CPU s, workers {children:5.1f}, wall {wall:5.1f} s; main "
            f"{memory:.0f} MB, a worker {memory_child if workers else 0:.0f} MB; CPU efficiency "
            f"{alone / (main + children):.2f}"
        )


def benchmark_dataset(path: str) -> None:
    """Size and load of a whole dataset."""
    start = time.process_time()
    data = read_dataset(path)
    loaded = time.process_time() - start
    for number in np.unique(data.columns.space_group).tolist():
        data.columns.dense(number)
    dense = time.process_time() - start
    start = time.process_time()
    statistics(data.columns, n_elements=data.n_elements)
    counted = time.process_time() - start
    size = Path(path).stat().st_size
    print(
        f"  {path}: {len(data):,} materials, {size / len(data):.1f} bytes each "
        f"({29_600 * len(data) / size:,.0f} times smaller than 29.6 kB); read in {loaded:.2f} s, as tensors of each "
        f"group in {dense:.2f} s, statistics in {counted:.2f} s"
    )


def main() -> None:
    warnings.simplefilter("ignore")
    documents = structures()
    benchmark_labels(documents)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "x"
        write_wbm(source, structures(in_order=True))
        benchmark_file(source)
        # Enough that starting processes, half a second each, does not decide.
        write_wbm(source, structures(10_000, in_order=True))
        benchmark_workers(source)
    if "DATASET" in os.environ:
        benchmark_dataset(os.environ["DATASET"])


if __name__ == "__main__":
    main()
