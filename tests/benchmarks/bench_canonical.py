"""The canonical choice beside pymatgen's: one thread, CPU seconds, the same labels.

usage: bench_canonical.py [LABELS]     default: see labels_of_wbm.py
"""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from bench_codec import random_labels, real_labels, seconds
from labels_of_wbm import label_file


def rate(name, n, work, peer=None, repeat=1):
    found = n / seconds(work, repeat)
    ratio = f"   {found / peer:8.1f} times pymatgen" if peer else ""
    print(f"{name:<62} {found:>12,.0f} a CPU second{ratio}")
    return found


def pymatgen_rate(labels):
    """Labels a CPU second of pymatgen's canonical choice, and the seconds that importing it takes."""
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from pymatgen.analysis.prototypes import canonicalize_element_wyckoffs
        except ImportError as error:
            print(f"pymatgen: not measured ({error})")
            return None
    print(f"{'import of pymatgen.analysis.prototypes':<62} {time.process_time() - start:>12.1f} CPU seconds")
    parts = []
    for label in labels:
        _, _, number, *fields = label.partition(":")[0].split("_")
        parts.append((_with_counts(fields), number))
    return rate(
        "pymatgen, fields to canonical fields", len(parts), lambda: [canonicalize_element_wyckoffs(*p) for p in parts]
    )


def _with_counts(fields):
    out = []
    for field in fields:
        text = previous = ""
        for c in field:
            text += c if c.isdigit() or previous.isdigit() else f"1{c}"
            previous = c
        out.append(text)
    return "_".join(out)


def main():
    from wyckoffkit.canonical import PROFILES, canonical_form, canonical_prototype
    from wyckoffkit.canonical_columns import canonical_columns
    from wyckoffkit.encoding import to_columns
    from wyckoffkit.label import parse_label

    path = Path(sys.argv[1]) if len(sys.argv) > 1 else label_file()
    real = real_labels(path)
    for name, labels in (
        (f"{len(real):,} of {path.name}", real),
        ("20,000 random, every pattern new", random_labels(20_000)),
    ):
        print(f"-- {name}")
        peer = pymatgen_rate(labels[:20_000])
        parsed = [parse_label(label) for label in labels]
        columns = to_columns(parsed)
        for profile in PROFILES:
            fresh = [parse_label(label) for label in labels]
            rate(
                f"canonical_form, {profile}",
                len(fresh),
                lambda f=fresh, p=profile: [canonical_form(x, p) for x in f],
                peer,
            )
            rate(
                f"canonical_columns, {profile}",
                len(fresh),
                lambda c=columns, p=profile: canonical_columns(c, p),
                peer,
                3,
            )
        rate("canonical_prototype", len(parsed), lambda p=parsed: [canonical_prototype(x) for x in p], peer)


if __name__ == "__main__":
    main()
