"""What a run says: JSON lines in its folder, and a live line on stderr."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from wyckoffkit import WyckoffkitError
from wyckoffkit.files import replacing

from .state import Progress as RunProgress

Record = dict[str, Any]


class JsonLines:
    """A log of one JSON object a line, appended to and flushed line by line."""

    def __init__(self, path: Path, after_step: int = 0) -> None:
        """Open for appending, without the lines beyond `after_step`, which a killed run wrote and will repeat."""
        kept = [line for line in _lines(path) if _step(line) <= after_step]
        with replacing(path, on_disk=False) as temporary:
            temporary.write_text("".join(kept), encoding="utf-8")
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115 (lives as long as the run)

    def __call__(self, record: Record) -> None:
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def require_tensorboard() -> None:
    """Raise WyckoffkitError if the optional package is not installed."""
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError:
        raise WyckoffkitError(
            "--tensorboard needs the package tensorboard: pip install 'wyckoffkit[tensorboard]'"
        ) from None


class TensorBoard:
    """The numbers of the log as event files: training figures under their names, validation figures apart."""

    def __init__(self, folder: Path, after_step: int = 0) -> None:
        """Hide what a killed run wrote beyond `after_step`."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(folder, purge_step=after_step + 1)

    def __call__(self, record: Record) -> None:
        group = "validation" if "validation" in record else "training"
        for name, value in record.get("validation", record).items():
            if name not in ("step", "seconds"):
                self._writer.add_scalar(f"{group}/{name}", value, record["step"])
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def _lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    with open(path, encoding="utf-8") as file:
        return [line for line in file if line.endswith("\n")]


def _step(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")


@contextmanager
def live_progress(
    console: Console,
) -> Iterator[tuple[Callable[[Record], None], Callable[[float, RunProgress], None]]]:
    """(log, tick) for a run: a bar with loss, validation figure and materials a second; plain lines off a terminal."""
    if not console.is_terminal:
        yield _plain(console), lambda fraction, progress: None
        return
    columns = (
        TextColumn("{task.percentage:5.1f} %"),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[figures]}"),
        TimeElapsedColumn(),
    )
    wide = console.width >= 110  # room for all of it beside the bar
    with Progress(*columns, console=console, refresh_per_second=4) as bar:
        task = bar.add_task("", total=1.0, figures="")
        shown: dict[str, str] = {}

        def log(record: Record) -> None:
            if "validation" in record:
                found = record["validation"]
                shown["validation"] = _figures(found) if wide else f"validation {found['bits']:.2f} bits"
            else:
                pace = f" · {record['materials_per_second']:.0f} materials/s" if wide else ""
                shown["loss"] = f"loss {record['loss']:.4g}{pace}"
            text = " · ".join(shown[key] for key in ("loss", "validation") if shown.get(key))
            bar.update(task, figures=f"step {record['step']} · {text}")

        yield log, lambda fraction, progress: bar.update(task, completed=min(fraction, 1.0))


def _figures(validation: dict[str, float]) -> str:
    error = validation["bits_error"]
    return f"validation {validation['bits']:.2f} ± {error:.2f} bits a material (loss {validation['loss']:.4g})"


def _plain(console: Console) -> Callable[[Record], None]:
    def log(record: Record) -> None:
        if "validation" in record:
            console.print(f"step {record['step']}: {_figures(record['validation'])}", highlight=False)

    return log
