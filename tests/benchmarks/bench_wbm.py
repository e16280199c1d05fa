"""All of WBM: built from each file given, compared with labels of the same materials, counted beside the paper.

    python tests/benchmarks/bench_wbm.py LABELS.csv.gz FILE…

A FILE is a source (WBM in any layout, `write_wbm_json.py` of the shared data writes three) or a dataset that is built.
About three minutes of CPU a source; CPU seconds and peak memory are those of the main process and of its one worker.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import h5py  # type: ignore[import-untyped]  # ships no types

from wyckoffkit.build import build_dataset
from wyckoffkit.dataset import Dataset, differences, read_dataset, statistics

PROCESS = """
import json, resource, sys
from wyckoffkit.build import build_dataset
if __name__ == "__main__":
    outcome = build_dataset(sys.argv[1:2], sys.argv[2], workers=1)
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    # ru_maxrss is inherited from the process that started this one, VmHWM is not.
    memory = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
    seconds = [u.ru_utime + u.ru_stime for u in used]
    print(json.dumps([*seconds, memory / 1024, used[1].ru_maxrss / 1024, outcome.problems]))
"""
PUBLISHED = {"mean |L|": 10.95, "mean |L0|": 4.18, "mean |Linf|": 6.78, "group 1": 0.003, "groups 1 to 15": 0.13}
"""Ekström Kelvinius et al. (2025), of their training set of 236,837 materials."""


def built(source: Path, folder: Path) -> Dataset:
    """The dataset of a source; what building it cost is printed."""
    if h5py.is_hdf5(source):
        return read_dataset(source)
    script, output = folder / "process.py", folder / f"{source.name}.h5"
    script.write_text(PROCESS)
    command = [sys.executable, str(script), str(source), str(output)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    main, worker, memory, memory_worker, problems = json.loads(done.stdout)
    data = read_dataset(output)
    print(
        f"{source.name}: {len(data):,} materials, {len(data.rejected):,} rejected, {len(problems)} problems; main "
        f"{main:.0f} CPU s and {memory:.0f} MB, worker {worker:.0f} CPU s and {memory_worker:.0f} MB; "
        f"{output.stat().st_size / len(data):.1f} bytes a material"
    )
    return data


def tell(data: Dataset) -> None:
    """Statistics beside the published ones."""
    found = statistics(data.columns, n_elements=data.n_elements)
    p = found.space_group_probability
    ours = dict(zip(PUBLISHED, (*found.mean_positions, p[1], p[1:16].sum()), strict=True))
    for name, value in ours.items():
        print(f"  {name:<16} {value:8.4g}   published {PUBLISHED[name]:g}")
    print(f"  smallest weight of a group 1/{1 / p[p > 0].min():,.0f}   published 1/236,837")


def main() -> None:
    if len(sys.argv) < 3:
        print("skipped: give it a file of labels and all of WBM in some layout")
        return
    labels, *sources = map(Path, sys.argv[1:])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build_dataset([labels], folder / "labels.h5")
        expected = read_dataset(folder / "labels.h5")
        for source in sources:
            data = built(source, folder)
            causes = Counter(difference.cause for difference in differences(data, expected))
            print(f"{source.name} and {labels.name}: {dict(causes) or 'no difference'}")
            tell(data)


if __name__ == "__main__":
    main()
