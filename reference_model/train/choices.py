"""Which model and settings a command line means: a name or a TOML file, then flags, then `--set`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from wyckoffkit import CheckpointError

from ..checkpoint import checkpoint_file, read_checkpoint
from ..config import ModelConfig, TrainConfig

NAMES = ("paper", "released", "compact")
BUDGETS = ("steps", "epochs", "minutes")


def choose(
    config: str | None,
    model: dict[str, Any],
    train: dict[str, Any],
    settings: list[str],
    initialise: Path | None = None,
) -> tuple[ModelConfig, TrainConfig]:
    """Later sources win; a value of None in `model` or `train` (a flag not given) does not count.

    Without `config` the model is that of the checkpoint `initialise`, or compact.

    Raises CheckpointError for a file or key that means nothing.
    """
    if config is None and initialise is not None:
        tables = {"model": read_checkpoint(checkpoint_file(initialise)).config.to_dict(), "train": {}}
    elif config is None or config in NAMES:
        tables = {"model": {"name": config or "compact"}, "train": {}}
    else:
        tables = _read_toml(Path(config))
    for table, values in (("model", model), ("train", train)):
        tables[table] |= {key: value for key, value in values.items() if value is not None}
    for text in settings:
        table, key, value = _parse_setting(text)
        tables[table][key] = value
    name = tables["model"].pop("name", "compact")
    if not any(tables["train"].get(budget) for budget in BUDGETS):
        tables["train"]["minutes"] = 60.0
    try:
        return ModelConfig.named(name, **tables["model"]), TrainConfig.from_dict(tables["train"])
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{config or initialise or 'compact'}: {error}") from None


def _read_toml(path: Path) -> dict[str, dict[str, Any]]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file, and not one of {', '.join(NAMES)}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise CheckpointError(f"{path} is not a TOML file: {error}") from None
    for key, value in content.items():
        if key not in ("model", "train") or not isinstance(value, dict):
            raise CheckpointError(f"{path}: only the tables [model] and [train] are known, got {key}")
    return {"model": dict(content.get("model", {})), "train": dict(content.get("train", {}))}


def _parse_setting(text: str) -> tuple[str, str, Any]:
    name, equals, value = text.partition("=")
    table, dot, key = name.partition(".")
    if not (equals and dot and table in ("model", "train")):
        raise CheckpointError(f"--set takes model.KEY=VALUE or train.KEY=VALUE, got {text!r}")
    try:
        return table, key, tomllib.loads(f"x = {value}")["x"]
    except tomllib.TOMLDecodeError:
        return table, key, value
