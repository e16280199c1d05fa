"""Reading labels, scoring them chunk by chunk and writing lines, once the options are known."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from wyckoffkit import DatasetError, LabelError, Protostructure, WyckoffkitError, parse_label
from wyckoffkit.files import replacing
from wyckoffkit.labelrows import Reject, label_rows
from wyckoffkit.textlines import open_lines

from ..likelihood import rank
from ..model import load_model
from ..report.reliability import render_calibration
from .calibration import calibration
from .scorer import Score, Scorer

# Batches read ahead, so that each holds materials of about as many positions.
CHUNK = 8

# Jump models are summed exactly up to so many occupied slots: at most 15 network evaluations a setting.
EXACT = 4


@dataclass
class Tally:
    """Of the scores so far."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0
    exact: int = 0
    novel: int = 0
    invalid: int = 0

    def add(self, score: Score) -> None:
        self.n += 1
        self.total += score.bits
        self.squares += score.bits**2
        self.exact += score.exact
        self.novel += score.novel

    def summary(self, seconds: float) -> str:
        """One line; the error is that of the mean over materials."""
        invalid = f"; {self.invalid} invalid lines" if self.invalid else ""
        if self.n == 0:
            return f"0 materials{invalid}"
        mean = self.total / self.n
        variance = max(self.squares - self.n * mean**2, 0.0) / (self.n - 1) if self.n > 1 else math.nan
        return (
            f"{mean:.2f} ± {math.sqrt(variance / self.n):.2f} bits a material (upper bound) over {self.n} materials, "
            f"exact for {self.exact}, "
            f"{100 * self.novel / self.n:.1f} % novel, in {seconds:.1f} s{invalid}"
        )


def run(
    labels: Path,
    checkpoint: Path | None,
    *,
    json_lines: bool = False,
    sort: bool = False,
    repeats: int = 4,
    seed: int = 0,
    exact: int | None = None,
    batch_size: int = 512,
    calibration_file: Path | None = None,
    device: str = "cpu",
    console: Console,
) -> int:
    """Scores to standard output, invalid lines and a summary to the console; returns how many were invalid.

    With a `calibration_file` that is written instead, and its bins go to standard output.
    """
    if calibration_file is not None and calibration_file.suffix not in (".html", ".json"):
        raise WyckoffkitError(f"{calibration_file}: calibration is written as .html or .json, by suffix")
    tally = Tally()
    refuse = partial(_refuse, console, tally)
    with _rows(labels, refuse) as rows, _bar(console, labels) as advance:
        model = load_model(checkpoint, device)
        if exact is None:
            exact = EXACT if model.checkpoint.config.objective == "jump" else 0
        scorer = Scorer(model, repeats=repeats, seed=seed, exact=exact)
        begun = time.monotonic()
        valid = _parsed(rows, scorer, refuse)
        if calibration_file is not None:
            _calibrate(scorer, [p for _, _, p in valid], labels, calibration_file, batch_size, advance)
            return tally.invalid
        held: list[tuple[float, str]] = []
        while chunk := list(islice(valid, CHUNK * batch_size)):
            scores = scorer.score([p for _, _, p in chunk], batch_size=batch_size, progress=advance)
            for (number, text, _), score in zip(chunk, scores, strict=True):
                tally.add(score)
                held.append((score.bits, _json(number, text, score) if json_lines else _line(text, score)))
            if not sort:
                _write(line for _, line in held)
                held = []
        _write(held[i][1] for i in rank([bits for bits, _ in held]))
    if tally.n + tally.invalid == 0:
        raise DatasetError(f"{labels}: no label in it")
    console.print(tally.summary(time.monotonic() - begun), highlight=False)
    return tally.invalid


def _calibrate(
    scorer: Scorer,
    protostructures: list[Protostructure],
    source: Path,
    file: Path,
    batch_size: int,
    advance: Callable[[int], None],
) -> None:
    if not protostructures:
        raise DatasetError(f"{source}: no label in it")
    found = calibration(scorer, protostructures, batch_size=batch_size, progress=advance)
    content = {"materials": len(protostructures), "source": source.name, **found.to_dict()}
    text = render_calibration(content) if file.suffix == ".html" else json.dumps(content, indent=1)
    with replacing(file) as temporary:
        temporary.write_text(text, encoding="utf-8")
    _write(
        f"{name}\t{one['low']:g}-{one['high']:g}\t{one['n']}\t{one['predicted']:.5f}\t{one['observed']:.5f}\n"
        for name in ("site", "element")
        for one in content[name]["bins"]
    )


@contextmanager
def _rows(path: Path, refuse: Reject) -> Iterator[Iterator[tuple[int, str]]]:
    """(line from 1, text) of each label; rows that hold none are refused."""
    if str(path) == "-":
        yield label_rows(Path("<stdin>"), iter(sys.stdin), refuse)
        return
    if path.is_dir() or not path.exists():
        raise DatasetError(f"{path} is a folder, expected a file" if path.is_dir() else f"{path}: no such file")
    if path.suffix == ".h5":
        yield enumerate(_held_out(path), start=1)
        return
    with open_lines(path) as lines:
        yield label_rows(path, lines, refuse)


def _held_out(path: Path) -> list[str]:
    """The labels of a dataset's test split; of all of it where it has none."""
    from wyckoffkit.dataset import read_dataset

    dataset = read_dataset(path)
    chosen = dataset.indices("test")
    return [str(label) for label in (dataset.label[chosen] if len(chosen) else dataset.label)]


def _refuse(console: Console, tally: Tally, where: str, error: Exception) -> None:
    tally.invalid += 1
    reason = error.message if isinstance(error, LabelError) else str(error)
    console.print(f"{where}: {reason}", style="red", markup=False, highlight=False)


def _parsed(
    rows: Iterable[tuple[int, str]], scorer: Scorer, refuse: Reject
) -> Iterator[tuple[int, str, Protostructure]]:
    """(line from 1, label, material) of each label that the model knows; the others are refused."""
    for number, text in rows:
        text = text.strip()
        try:
            protostructure = parse_label(text)
            scorer.check(protostructure)
        except WyckoffkitError as error:
            refuse(f"line {number}", error)
        else:
            yield number, text, protostructure


def _line(text: str, score: Score) -> str:
    return f"{score.bits:.3f}\t{score.bits_error:.3f}\t{text}\n"


def _json(number: int, text: str, score: Score) -> str:
    content = asdict(score)
    canonical = content.pop("label")
    return json.dumps({"line": number, "label": text, "canonical": canonical, **content}) + "\n"


def _write(lines: Iterable[str]) -> None:
    sys.stdout.writelines(lines)
    sys.stdout.flush()


@contextmanager
def _bar(console: Console, path: Path) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal; without an end where the lines come from a pipe."""
    columns = (BarColumn(bar_width=None), MofNCompleteColumn(), TextColumn("materials"), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=_count_lines(path) if console.is_terminal else None)
        yield lambda n: bar.update(task, advance=n)


def _count_lines(path: Path) -> int | None:
    if not path.is_file() or path.suffix == ".h5":  # a pipe is read once
        return None
    with open_lines(path) as lines:
        return sum(1 for line in lines if line.strip())
