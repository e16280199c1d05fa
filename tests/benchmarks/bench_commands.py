"""The commands as a user gives them: wall time, CPU seconds and peak memory of each whole process, start-up included.

One thread (`--threads 1`, OMP_NUM_THREADS=1), files of tests/data; with WBM=FILE.npz N=20000 `build-dataset` of so many
structures of WBM, in the order they stand there. `--only WORD` takes the rows whose command has the word.
"""

from __future__ import annotations

import argparse
import bz2
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMANDS = (
    "wyckoffkit --help",
    "wyckoffkit show --help",
    "wyckoffkit encode ten.txt -o ten.h5",
    "wyckoffkit label crystals",
    "wyckoffkit build-dataset wbm.json.bz2 -o wbm.h5 --workers 1",
    "wyckoffkit realize labels.txt -o crystals-of-labels",
    "reference_model.sample -n 1000 --threads 1 -o reweighted.txt",
    "reference_model.sample -n 1000 --threads 1 --own-law -o own.txt",
    "reference_model.sample -n 10000 --threads 1 --own-law -o many.txt",
    "reference_model.score labels.txt --threads 1",
    "reference_model.evaluate reweighted.txt --json one.json",
    "reference_model.evaluate many.txt --json many.json",
    "reference_model.evaluate many.txt --json again.json",
)


def write_inputs(folder: Path) -> None:
    """What the commands read: labels, crystals, a file in WBM's layout."""
    from bench_build import N, structures
    from pymatgen.core import Structure
    from real_structures import in_wbm_layout, real_structures

    known = real_structures()
    (folder / "ten.txt").write_text("".join(f"{real.label}\n" for real in known[:10]))
    (folder / "labels.txt").write_text("".join(f"{real.label}\n" for real in known[:20]))
    (folder / "crystals").mkdir()
    for real in known[:6]:
        Structure.from_dict(real.structure).to(str(folder / "crystals" / f"{real.material_id}.cif"))
    (folder / "wbm.json.bz2").write_bytes(bz2.compress(in_wbm_layout(structures(in_order=True))))
    print(f"build-dataset: {N:,} structures\n")


def measure(command: str, folder: Path) -> tuple[float, float, float]:
    """(wall seconds, CPU seconds, peak MB) of the command and the processes it waits for."""
    program, *arguments = command.split()
    module = f"{program}.cli.main" if program == "wyckoffkit" else program
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(folder / "cache")}
    begun = time.monotonic()
    with open(folder / "said.txt", "wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], cwd=folder, env=environment, stdout=said, stderr=said
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command}: {(folder / 'said.txt').read_text()}")
    return time.monotonic() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="Rows whose command has this word.")
    parser.add_argument("--write-inputs", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write_inputs is not None:
        write_inputs(options.write_inputs)
        return
    with tempfile.TemporaryDirectory() as name:
        # By a process of its own: a child's peak memory begins with that of its parent.
        subprocess.run([sys.executable, __file__, "--write-inputs", name], check=True)
        print("| command | wall, s | CPU, s | peak MB |\n|---|---|---|---|")
        for command in COMMANDS:
            if options.only in command:
                wall, cpu, peak = measure(command, Path(name))
                print(f"| `{command}` | {wall:.2f} | {cpu:.2f} | {peak:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
