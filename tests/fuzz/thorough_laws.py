"""Every law of some test files, 100,000 examples each: `python tests/fuzz/thorough_laws.py -o laws.jsonl`.

Runs one process a law and writes one line of JSON (outcome, CPU and wall seconds) as it ends. Skips the laws that the
file holds already, so that a run of hours can be stopped and taken up again.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Tables and codec.
FILES = (
    "label",
    "wren",
    "repair",
    "protostructure",
    "encoding",
    "canonical",
    "canonical_columns",
    "dataset",
    "tensorfile",
    "tables_proof",
)


def pytest(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"HYPOTHESIS_PROFILE": "thorough", "OMP_NUM_THREADS": "1"}
    # `addopts` of the project would change what is printed.
    command = [sys.executable, "-m", "pytest", "-q", "-o", "addopts=", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def laws(files: list[str]) -> list[str]:
    """Node ids of all tests that hypothesis runs."""
    done = pytest("--collect-only", "-m", "hypothesis", *files)
    found = [line for line in done.stdout.splitlines() if "::" in line]
    if not found:
        raise SystemExit(f"no law was collected:\n{done.stdout}{done.stderr}")
    return found


def run(law: str) -> dict[str, object]:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
    done = pytest(law)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    outcome = "holds" if done.returncode == 0 else "fails"
    record: dict[str, object] = {
        "law": law,
        "outcome": outcome,
        "cpu_seconds": round(cpu, 1),
        "wall_seconds": round(time.time() - start, 1),
    }
    return record if done.returncode == 0 else record | {"output": done.stdout[-4000:]}


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("-o", "--output", type=Path, required=True, help="Lines of JSON, appended to.")
    options.add_argument("files", nargs="*", default=[f"tests/test_{name}.py" for name in FILES])
    chosen = options.parse_args()
    known = chosen.output.read_text(encoding="utf-8").splitlines() if chosen.output.exists() else []
    records = {record["law"]: record for record in map(json.loads, known)}
    for law in laws(chosen.files):
        if law not in records:
            records[law] = run(law)
            with open(chosen.output, "a", encoding="utf-8") as file:
                file.write(json.dumps(records[law]) + "\n")
    failed = [law for law, record in records.items() if record["outcome"] != "holds"]
    cpu = sum(float(record["cpu_seconds"]) for record in records.values())
    sys.stdout.write(f"{len(records)} laws, {len(failed)} fail, {cpu:.0f} CPU seconds\n")
    sys.stdout.writelines(f"fails: {law}\n" for law in failed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
