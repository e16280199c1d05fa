"""Damages real files at random and reads them: `python tests/fuzz/damaged_files.py --files 100000`.

Each file is read in a process of its own, with 2 GB of memory beyond what it begins with and 20 seconds of CPU. What
may come of it: a named error, the right content, or (text formats, which carry no checksum) other valid content. A
traceback, a crash, a hang and, for a format with a checksum, other content are findings; the damaged file is kept.
"""

from __future__ import annotations

import argparse
import bz2
import hashlib
import json
import os
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

from wyckoffkit import WyckoffkitError  # noqa: E402 - after the path

MEMORY = 2 << 30  # bytes
SECONDS = 20
RIGHT, ERROR, OTHER, FINDING = 0, 1, 2, 3


@dataclass(frozen=True)
class Format:
    """A kind of file: how a sound one is written, and what reading it gives (anything that can be compared)."""

    name: str
    write: Callable[[Path], None]
    read: Callable[[Path], object]
    checked: bool
    """The format carries checksums: damage must be noticed."""


def digest(values: Iterable[object]) -> str:
    sha = hashlib.sha256()
    for value in values:
        sha.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
    return sha.hexdigest()


def real() -> list[Any]:
    from real_structures import real_structures

    return list(real_structures())


def write_hdf5(path: Path) -> None:
    from wyckoffkit import parse_label
    from wyckoffkit.dataset import write_dataset
    from wyckoffkit.encoding import to_columns

    labels = [entry.label for entry in real()]
    columns = to_columns(map(parse_label, labels))
    write_dataset(
        path,
        columns,
        material_id=[entry.material_id for entry in real()],
        label=labels,
        properties={"e_form_per_atom": np.linspace(-3, 1, len(labels))},
    )


def read_hdf5(path: Path) -> str:
    from wyckoffkit.dataset import read_dataset

    data = read_dataset(path)
    columns = data.columns
    arrays = (columns.space_group, columns.offset, columns.position, columns.element, columns.count, data.split)
    return digest([*arrays, data.profile, data.n_elements, data.label.tolist(), data.material_id.tolist(),
                   sorted((name, column.tolist()) for name, column in data.properties.items())])  # fmt: skip


def write_encoded(path: Path) -> None:
    from wyckoffkit import parse_label
    from wyckoffkit.tensorfile import write_tensors

    write_tensors(((entry.label, parse_label(entry.label)) for entry in real()), path, n_elements=100)


def read_encoded(path: Path) -> str:
    from wyckoffkit.tensorfile import read_tensors

    found = []
    for _, decoded in read_tensors(path):
        try:
            found.append(str(decoded()))
        except WyckoffkitError as error:
            found.append(f"error {error}")
    return digest(found)


def write_checkpoint_file(path: Path) -> None:
    import torch

    from reference_model.checkpoint import Checkpoint, write_checkpoint
    from reference_model.config import ModelConfig
    from reference_model.network import build_network
    from reference_model.transitions import Prior

    torch.manual_seed(0)
    config = ModelConfig.named("compact", hidden_size=8, n_heads=2, n_layers=1, n_elements=20, max_count=3)
    weights = dict(build_network(config).state_dict())
    write_checkpoint(path, Checkpoint(config, weights, {}, Prior.zeros(21).m, Prior.zeros(4).m))


def read_checkpoint_file(path: Path) -> str:
    from reference_model.checkpoint import read_checkpoint

    found = read_checkpoint(path)
    weights = [tensor.numpy() for _, tensor in sorted(found.weights.items())]
    return digest([*weights, sorted(found.config.to_dict().items()), found.profile, found.constrained_prior.numpy()])


def write_structures(path: Path) -> None:
    steps = {f"step_1_{i}": {"org": entry.structure, "opt": entry.structure} for i, entry in enumerate(real()[:20])}
    data = json.dumps(steps).encode()
    path.write_bytes(bz2.compress(data) if path.suffix == ".bz2" else data)


def write_cif(path: Path) -> None:
    from pymatgen.core import Structure

    structure = real()[4].structure
    path.write_text(Structure.from_dict(structure).to(fmt="cif"), encoding="utf-8")


def write_table(path: Path) -> None:
    rows = "".join(f"{entry.material_id},{entry.label}\n" for entry in real())
    path.write_text(f"material_id,wyckoff_spglib\n{rows}", encoding="utf-8")


def read_sources(path: Path) -> str:
    from wyckoffkit.sources import Source, read_entry

    records = [read_entry(entry, "org") for entry in Source(path).entries()]
    return digest((record.material_id, str(record.protostructure or record.crystal)) for record in records)


def write_toml(path: Path) -> None:
    lines = ["[model]", 'name = "compact"', "hidden_size = 160", "[train]", "minutes = 120", "lr = 1e-3", ""]
    path.write_text("\n".join(lines), encoding="utf-8")


def read_toml(path: Path) -> str:
    from reference_model.train.choices import choose

    return digest(map(repr, choose(str(path), {}, {}, [])))


FORMATS = {
    "dataset.h5": Format("dataset (HDF5)", write_hdf5, read_hdf5, checked=True),
    "tensors.npz": Format("tensors (npz)", write_encoded, read_encoded, checked=True),
    "tensors.jsonl": Format("tensors (JSON lines)", write_encoded, read_encoded, checked=False),
    "model.safetensors": Format("checkpoint (safetensors)", write_checkpoint_file, read_checkpoint_file, checked=True),
    "wbm.json": Format("structures (JSON)", write_structures, read_sources, checked=False),
    "wbm.json.bz2": Format("structures (JSON, bz2)", write_structures, read_sources, checked=True),
    "one.cif": Format("structure (CIF)", write_cif, read_sources, checked=False),
    "table.csv": Format("labels (CSV)", write_table, read_sources, checked=False),
    "run.toml": Format("settings (TOML)", write_toml, read_toml, checked=False),
}


def damage(data: bytes, generator: np.random.Generator) -> bytes:
    """Cut off, bits flipped, a stretch overwritten, a stretch moved away, or bytes put in."""
    kind = generator.integers(5)
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
    else:
        changed[at:at] = generator.bytes(length)
    return bytes(changed)


def outcome(form: Format, path: Path, right: object) -> tuple[int, str]:
    """What reading a damaged file comes to, found in a process of its own, and why where it is a finding."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        code, why = FINDING, "left without a word"
        try:
            quiet()
            code, why = _read_here(form, path, right)
        except BaseException:
            why = traceback.format_exc()[-2000:]
        finally:
            os.write(writer, why.encode()[:60000])
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        why = pipe.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return FINDING, f"killed by {signal.Signals(os.WTERMSIG(status)).name}"
    return os.waitstatus_to_exitcode(status), why


def quiet() -> None:
    """Bound this process, and keep libraries from writing on the terminal."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)


def _read_here(form: Format, path: Path, right: object) -> tuple[int, str]:
    try:
        found = form.read(path)
    except WyckoffkitError as error:
        message = str(error)
        sound = message and "Traceback" not in message
        return (ERROR, "") if sound else (FINDING, f"an error without a sentence: {error!r}")
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
        for number in range(n):
            damaged = damage(data, np.random.default_rng([seed, number]))
            path.write_bytes(damaged)
            code, why = outcome(form, path, right)
            counts[code] += 1
            if code == FINDING:
                findings.append(f"{name}, number {number}: {why}")
                if keep is not None:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / f"{number}-{name}").write_bytes(damaged)
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
