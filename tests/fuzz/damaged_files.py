"""Damages real files at random and reads them: `python tests/fuzz/damaged_files.py --files 100000`.

Files are read in processes of their own, with 2 GB of memory beyond what they begin with and 20 seconds of CPU a file.
What may come of one: a named error, the right content, or (text formats, which carry no checksum) other valid content.
A traceback, a crash, a hang and, for a format with a checksum, other content are findings; the damaged file is kept.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from formats import FORMATS, Format

from wyckoffkit import WyckoffkitError

MEMORY = 2 << 30  # bytes
SECONDS = 20
BATCH = 50  # files that one process reads, where nothing is found
RIGHT, ERROR, OTHER, FINDING = 0, 1, 2, 3


def damage(data: bytes, generator: np.random.Generator) -> bytes:
    """Cut off, bits flipped, a stretch overwritten or taken away, bytes put in, or brackets without end."""
    kind = generator.choice(6, p=[0.2, 0.2, 0.2, 0.2, 0.19, 0.01])
    at = int(generator.integers(len(data)))
    length = int(generator.integers(1, 65))
    changed = bytearray(data)
    if kind == 0:
        return data[:at]
    if kind == 1:
        for position in generator.integers(len(data), size=generator.integers(1, 9)):
            changed[position] ^= 1 << int(generator.integers(8))
    elif kind == 2:
        filling = generator.choice([b"\0", b"\xff", b"9", b'"', b"["])
        changed[at : at + length] = filling * len(changed[at : at + length])
    elif kind == 3:
        del changed[at : at + length]
    elif kind == 4:
        changed[at:at] = generator.bytes(length)
    else:
        changed[at:at] = generator.choice([b"[", b'{"a":']) * 100_000
    return bytes(changed)


def outcomes(form: Format, path: Path, right: object, files: Sequence[bytes]) -> Iterator[tuple[int, str]]:
    """What reading each file comes to, in processes of their own, and why where it is a finding.

    A process reads on as long as nothing is found; after a finding the next one is begun.
    """
    done = 0
    while done < len(files):
        for code, why in _in_a_process(form, path, right, files[done:]):
            done += 1
            yield code, why


def _in_a_process(form: Format, path: Path, right: object, files: Sequence[bytes]) -> Iterator[tuple[int, str]]:
    """Up to the first finding, the end of the process included."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            quiet()
            for data in files:
                path.write_bytes(data)
                again_so_many_seconds()
                code, why = _read_here(form, path, right)
                os.write(writer, json.dumps([code, why[-2000:]]).encode() + b"\n")
                if code == FINDING:
                    break
        finally:
            os._exit(0)
    os.close(writer)
    answered, found = 0, False
    with os.fdopen(reader, "rb") as pipe:
        for line in pipe:
            code, why = json.loads(line)
            answered, found = answered + 1, code == FINDING
            yield code, why
    _, status = os.waitpid(child, 0)
    if answered < len(files) and not found:
        signalled = os.WIFSIGNALED(status)
        yield FINDING, f"killed by {signal.Signals(os.WTERMSIG(status)).name}" if signalled else "left without a word"


def quiet() -> None:
    """Bound this process, and keep libraries from writing on the terminal."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)


def again_so_many_seconds() -> None:
    """Of CPU from now on."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + 1 + SECONDS, hard))


def _read_here(form: Format, path: Path, right: object) -> tuple[int, str]:
    try:
        found = form.read(path)
    except WyckoffkitError as error:
        message = str(error)
        sound = message and "Traceback" not in message
        return (ERROR, "") if sound else (FINDING, f"an error without a sentence: {error!r}")
    except BaseException:
        return FINDING, traceback.format_exc()
    if found == right:
        return RIGHT, ""
    return (FINDING, "damage went unnoticed, the content is another") if form.checked else (OTHER, "")


def campaign(name: str, n: int, seed: int, keep: Path | None = None) -> tuple[Counter[int], list[str]]:
    """Counts of outcomes for n damaged files of one format, and what was found."""
    form, counts, findings = FORMATS[name], Counter[int](), []
    with TemporaryDirectory() as folder:
        sound, path = Path(folder) / name, Path(folder) / "damaged" / name
        path.parent.mkdir()
        form.write(sound)
        right, data = form.read(sound), sound.read_bytes()
        for start in range(0, n, BATCH):
            files = [damage(data, np.random.default_rng([seed, i])) for i in range(start, min(n, start + BATCH))]
            for number, (code, why) in enumerate(outcomes(form, path, right, files), start):
                counts[code] += 1
                if code == FINDING:
                    findings.append(f"{name}, number {number}: {why}")
                    if keep is not None:
                        keep.mkdir(parents=True, exist_ok=True)
                        (keep / f"{number}-{name}").write_bytes(files[number - start])
    return counts, findings


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=9000, help="in all, shared between the formats")
    parser.add_argument("--format", choices=FORMATS, action="append", help="only this one; may be repeated")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("findings"), help="folder for files that led to a finding")
    chosen = parser.parse_args()
    names = chosen.format or list(FORMATS)
    found = 0
    sys.stdout.write("format | files | named error | right content | other valid content | findings | CPU s\n")
    for name in names:
        begun = time.process_time() + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
        counts, findings = campaign(name, chosen.files // len(names), chosen.seed, chosen.keep)
        spent = time.process_time() + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - begun
        numbers = [counts.total(), counts[ERROR], counts[RIGHT], counts[OTHER], counts[FINDING]]
        sys.stdout.write(f"{FORMATS[name].name} | {' | '.join(map(str, numbers))} | {spent:.0f}\n")
        sys.stdout.write("".join(f"  {text}\n" for text in findings[:5]))
        sys.stdout.flush()
        found += len(findings)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
