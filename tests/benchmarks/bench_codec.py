"""Labels and tensors against pymatgen, aviary and the paper's code: one thread, CPU seconds, the same labels.

usage: bench_codec.py [LABELS]     default: see labels_of_wbm.py

WYCKOFFDIFF names a checkout of the paper's code, WYCKOFFDIFF_PYTHON an interpreter that has what it needs (this one
otherwise); without a checkout its part is left out.
"""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

from labels_of_wbm import label_file, read_labels

PAPER_N = 500  # labels for the paper's code, which does some hundreds a second


def seconds(work, repeat=3):
    """The least CPU seconds of some runs."""
    best = float("inf")
    for _ in range(repeat):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def rate(name, n, work, peer=None, repeat=3):
    """Print and return labels a CPU second, and the ratio to a peer's rate."""
    found = n / seconds(work, repeat)
    ratio = f"   {found / peer:8.1f} times the peer" if peer else ""
    print(f"{name:<58} {found:>12,.0f} a CPU second{ratio}")
    return found


def real_labels(path=None):
    """Those of a file, in random order."""
    labels = read_labels(path)
    random.Random(0).shuffle(labels)
    return labels


def random_labels(n):
    """Labels of random positions: hardly any pattern comes twice, the worst case for a cache."""
    from wyckoffkit import Orbit, Protostructure, SpaceGroup, format_label
    from wyckoffkit.elements import SYMBOLS

    draw = random.Random(1)
    labels = []
    while len(labels) < n:
        group = SpaceGroup.from_number(draw.randint(1, 230))
        orbits = {}
        for _ in range(draw.randint(2, 6)):
            position = draw.choice(group.positions)
            orbits[position.letter] = Orbit(SYMBOLS[draw.randint(1, 94)], position.letter)
        labels.append(format_label(Protostructure(group, tuple(orbits.values()))))
    return labels


def bench_parse(labels, distinct):
    from wyckoffkit import format_label, parse_label

    peers = [None, None]
    try:
        from aviary.wren.data import parse_protostructure_label
    except ImportError as error:
        print(f"aviary: not measured ({error})")
    else:
        for i, (name, some) in enumerate([("", labels[:20_000]), (", every pattern new", distinct[:5_000])]):
            peers[i] = rate(
                f"parse, aviary, no validation{name}",
                len(some),
                lambda some=some: list(map(parse_protostructure_label, some)),
                None,
                1,
            )
    rate("parse with full validation", len(labels), lambda: list(map(parse_label, labels)), peers[0])
    rate(
        "parse with full validation, every pattern new",
        len(distinct),
        lambda: list(map(parse_label, distinct)),
        peers[1],
        1,
    )
    parsed = [parse_label(x) for x in labels]
    rate("format", len(labels), lambda: [format_label(p) for p in parsed])
    return parsed


def bench_tensors(labels, parsed):
    from wyckoffkit import decode, encode, format_label, parse_label
    from wyckoffkit.canonical_columns import canonical_columns
    from wyckoffkit.dense import from_dense
    from wyckoffkit.encoding import to_columns

    def tensors():
        columns = to_columns(map(parse_label, labels))
        return [columns.dense(n) for n in range(1, 231)]

    some = parsed[:20_000]
    arrays = [encode(p) for p in some]
    paper = paper_rates(labels[:PAPER_N])
    rate("label → columns", len(labels), lambda: to_columns(map(parse_label, labels)))
    rate("label → dense tensors, in batches", len(labels), tensors, paper and paper["encode"])
    one = lambda: [encode(parse_label(x)) for x in labels[:20_000]]  # noqa: E731 - all together they fill the memory
    rate("label → dense tensors, one at a time", len(some), one, paper and paper["encode"])
    columns = to_columns(parsed)
    rate("columns → label", len(labels), lambda: [format_label(p) for p in columns])
    theirs = paper and paper["decode"]
    rate("columns → canonical label", len(labels), lambda: [format_label(p.canonical()) for p in columns], theirs)
    rate(
        "dense tensors → canonical label, one at a time",
        len(arrays),
        lambda: [format_label(decode(x).canonical()) for x in arrays],
        theirs,
    )
    stored = [(n, *columns.dense(n)[1:]) for n in range(1, 231)]
    rate(
        "dense tensors → canonical label, in batches",
        len(labels),
        lambda: [format_label(p) for x in stored for p in canonical_columns(from_dense(*x))],
        theirs,
    )
    bench_floor(labels, columns)


def paper_rates(labels):
    """Rates of the paper's code in a process of its own; None, with a message, where it cannot run."""
    checkout = os.environ.get("WYCKOFFDIFF")
    if not checkout:
        print("the paper's code: not measured (WYCKOFFDIFF names no checkout)")
        return None
    command = [os.environ.get("WYCKOFFDIFF_PYTHON", sys.executable), str(Path(__file__).with_name("paper_codec.py"))]
    done = subprocess.run([*command, checkout], input="\n".join(labels), capture_output=True, text=True)
    if done.returncode:
        print(f"the paper's code: not measured ({done.stderr.strip().splitlines()[-1]})")
        return None
    found = json.loads(done.stdout)
    print(f"{'the paper, label → tensors':<58} {found['encode']:>12,.0f} a CPU second")
    print(f"{'the paper, tensors → canonical label':<58} {found['decode']:>12,.0f} a CPU second")
    equal = sum(map(str.__eq__, found["labels"], labels))
    print(f"{'labels that the paper gives back as they were':<58} {equal:>12,} of {len(labels):,}")
    return found


def bench_floor(labels, columns):
    """What no codec of these columns can beat: one gather and one scatter a slot, and the bytes it must write."""
    import numpy as np

    from wyckoffkit import SpaceGroup

    slots = len(columns.position)
    material = np.repeat(np.arange(len(columns)), np.diff(columns.offset))
    table = np.random.default_rng(0).integers(0, 27, 231 * 27)
    key = columns.space_group[material].astype(np.int64) * 27 + columns.position
    rate("floor: a table gather for each slot of the material", len(labels), lambda: table[key])
    members = np.bincount(columns.space_group, minlength=231).tolist()
    cells = sum(members[g] * len(SpaceGroup.from_number(g).unconstrained) * 100 for g in range(1, 231))
    rate("floor: writing the bytes of the dense tensors", len(labels), lambda: np.ones(cells, np.uint8))
    dense = rate("columns → dense tensors, all groups", len(labels), lambda: [columns.dense(n) for n in range(1, 231)])
    text = sum(map(len, labels)) / len(labels)
    held = sum(x.nbytes for x in (columns.position, columns.element, columns.count, columns.offset)) / len(columns) + 1
    print(
        f"a material: {text:.1f} bytes of text, {slots / len(columns):.2f} slots, {held:.1f} bytes in columns, "
        f"{cells / len(columns):.0f} dense ({cells / len(columns) * dense / 1e9:.1f} GB a CPU second written)"
    )


def bench_canonical(labels, parsed):
    rate("canonical form, pymatgen profile", len(parsed), lambda: [p.canonical() for p in parsed])
    rate("canonical form, affine profile", len(parsed), lambda: [p.canonical("affine") for p in parsed])
    peer = None
    try:
        from pymatgen.analysis.prototypes import get_prototype_from_protostructure
    except ImportError as error:
        print(f"pymatgen: not measured ({error})")
    else:
        some = labels[:3000]
        peer = rate(
            "prototype, pymatgen", len(some), lambda: [get_prototype_from_protostructure(x) for x in some], None, 1
        )
    rate("prototype", len(parsed), lambda: [str(p.prototype()) for p in parsed], peer)


def bench_command():
    """Ten labels through the installed command, start-up included: the least of some runs."""
    command = [sys.executable, "-m", "wyckoffkit.cli.main"]
    ten = "\n".join(["AB6C_hR24_166_a_h_b:Cs-F-Sn"] * 10)
    for name, arguments in {"encode of ten labels": ["encode", "-"], "--help": ["--help"]}.items():
        walls, cpus = [], []
        for _ in range(5):
            start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([*command, *arguments], input=ten, text=True, capture_output=True, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            walls.append(time.perf_counter() - start)
            cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        print(f"wyckoffkit {name:<47} {min(walls):>12.3f} s of wall time, {min(cpus):.3f} CPU seconds")


def main():
    """Run all and print."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else label_file()
    labels = real_labels(path)
    print(f"{len(labels):,} labels of {path.name}")
    parsed = bench_parse(labels, random_labels(20_000))
    bench_tensors(labels, parsed)
    bench_canonical(labels, parsed)
    bench_command()


if __name__ == "__main__":
    main()
