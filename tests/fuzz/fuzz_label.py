"""Coverage-guided fuzzing of everything that reads a label: `python tests/fuzz/fuzz_label.py --cpu-seconds 3600`.

Needs atheris (Linux, `pip install atheris`). The first byte of an input chooses the parser, the rest is the text. A
finding is anything but a named error with a message, or a value that does not come back as it was read, or more than
ten CPU seconds for one text. Ends with a report on stdout; a finding ends it at once, with the input in `crash-…`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["wyckoffkit"]):
    from wyckoffkit.canonical import canonical_form
    from wyckoffkit.elements import SYMBOLS
    from wyckoffkit.encoding import check_encodable, decode, encode
    from wyckoffkit.errors import LabelError, ProtostructureError
    from wyckoffkit.label import format_label, parse_label, parse_prototype
    from wyckoffkit.lenient import parse_lenient
    from wyckoffkit.protostructure import Protostructure
    from wyckoffkit.repair import repair_candidates
    from wyckoffkit.wren import format_wren, parse_wren

LABELS = Path(__file__).resolve().parents[1] / "data" / "wbm_labels.txt"
HANG = 10.0  # CPU seconds


def label(text: str) -> None:
    protostructure = parse_label(text)
    assert format_label(protostructure) == text
    sound(protostructure)


def sound(protostructure: Protostructure) -> None:
    """What was read is a valid value, whose canonical form is one and whose tensors hold all of it."""
    assert Protostructure(protostructure.space_group, protostructure.orbits) == protostructure
    canonical = canonical_form(protostructure)
    assert canonical_form(canonical) is canonical
    assert parse_label(format_label(canonical)) == canonical
    check_encodable(protostructure, len(SYMBOLS) - 1)
    assert decode(encode(protostructure, n_elements=len(SYMBOLS) - 1)) == protostructure


def prototype(text: str) -> None:
    found = parse_prototype(text)
    assert parse_prototype(str(found)) == found


def wren(text: str) -> None:
    found = parse_wren(text)
    assert parse_wren(format_wren(found)) == found


def lenient(text: str) -> None:
    found = parse_lenient(text)
    written = format_label(found.protostructure)
    assert parse_label(written) == found.protostructure
    # What has changed is told, and what is strict has not changed.
    assert (written == text) == (not found.changes)


def repair(text: str) -> None:
    candidates = repair_candidates(text)
    for candidate in candidates:
        assert parse_label(format_label(candidate)) == candidate
    if not candidates:
        raise LabelError("no valid label has these letters and digits", text)


PARSERS: tuple[Callable[[str], None], ...] = (label, prototype, wren, lenient, repair)


def check_message(error: LabelError | ProtostructureError, text: str) -> None:
    assert str(error).strip()
    column = getattr(error, "column", None)
    assert column is None or 0 <= column <= len(text)


class Run:
    """The target, and what it has seen."""

    def __init__(self, cpu_seconds: float) -> None:
        self.cpu_seconds = cpu_seconds
        self.started = time.time()
        self.seen: Counter[str] = Counter()
        self.slowest = (0.0, "")

    def __call__(self, data: bytes) -> None:
        if not data:
            return
        parser = PARSERS[data[0] % len(PARSERS)]
        text = data[1:].decode("utf-8", errors="surrogateescape")
        start = time.process_time()
        try:
            parser(text)
            self.seen[f"{parser.__name__} read"] += 1
        except (LabelError, ProtostructureError) as error:
            self.seen[f"{parser.__name__} refused"] += 1
            check_message(error, text)
        end = time.process_time()
        self.slowest = max(self.slowest, (end - start, f"{parser.__name__} {text!a}"))
        if end - start > HANG:
            raise TimeoutError(f"{parser.__name__} takes {end - start:.1f} s of CPU")
        if end > self.cpu_seconds:
            self.report(end)

    def report(self, cpu: float) -> None:
        facts = {
            "cpu_seconds": round(cpu, 1),
            "wall_seconds": round(time.time() - self.started, 1),
            "inputs": self.seen.total(),
            "by_parser": dict(sorted(self.seen.items())),
            "slowest_cpu_seconds": round(self.slowest[0], 3),
            "slowest": self.slowest[1][:300],
            "findings": 0,
        }
        sys.stdout.write(json.dumps(facts, indent=1) + "\n")
        sys.stdout.flush()
        os._exit(0)  # libFuzzer takes an exception for a finding


def seeds(folder: Path) -> None:
    """Real labels in each of the notations."""
    for i, text in enumerate(LABELS.read_text(encoding="utf-8").split()):
        protostructure = parse_label(text)
        texts = (
            text,
            str(protostructure.prototype()),
            format_wren(protostructure),
            text.replace("_a", "_1a").replace("_oC", "_oS"),
            text.replace("_", " "),
        )
        for kind, form in enumerate(texts):
            (folder / f"{i}-{kind}").write_bytes(bytes([kind]) + form.encode())


def words(path: Path) -> None:
    """A dictionary of what labels are made of."""
    pieces = [*SYMBOLS[1:], "_", ":", "-", " @ ", "'", *(f"_{n}_" for n in range(1, 231)), "99999a", "hR", "oS", "cF"]
    path.write_text("".join(f'"{piece}"\n' for piece in pieces), encoding="utf-8")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cpu-seconds", type=float, default=3600)
    options.add_argument("--max-length", type=int, default=400)
    chosen, rest = options.parse_known_args()
    with tempfile.TemporaryDirectory() as made:
        corpus, dictionary = Path(made) / "corpus", Path(made) / "words"
        corpus.mkdir()
        seeds(corpus)
        words(dictionary)
        # libFuzzer's own limits are of wall time: far away, since the machine may be busy.
        limits = [f"-max_len={chosen.max_length}", "-timeout=600", "-rss_limit_mb=3000", f"-dict={dictionary}"]
        atheris.Setup([sys.argv[0], *limits, *rest, str(corpus)], Run(chosen.cpu_seconds))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
