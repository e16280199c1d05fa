"""Tensors and a JSON header in one safetensors file, written whole or not at all, read strictly.

Checkpoints, training states and reference packs are all files of this form. The header sits in the safetensors metadata
under one key (so that equal contents give equal bytes) and names the kind of file and its format version.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as numpy_bytes
from safetensors.torch import save as torch_bytes

from wyckoffkit import CheckpointError, __version__

HEADER_KEY = "wyckoffkit"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder, which becomes `path` when the block ends well and vanishes otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        temporary.unlink(missing_ok=True)


def write_tensors(
    path: str | os.PathLike[str],
    kind: str,
    version: int,
    tensors: Mapping[str, torch.Tensor] | Mapping[str, np.ndarray],
    header: Mapping[str, Any],
) -> None:
    """Write `tensors` and `header` to `path` atomically (temporary file, fsync, rename)."""
    full = {**header, "kind": kind, "format_version": version, "toolkit_version": __version__}
    metadata = {HEADER_KEY: json.dumps(full, sort_keys=True)}
    if all(isinstance(t, torch.Tensor) for t in tensors.values()):
        # safetensors refuses views that share storage, and stores contiguous memory alone.
        data = torch_bytes({k: t.detach().cpu().contiguous() for k, t in tensors.items()}, metadata)
    else:
        data = numpy_bytes({k: np.ascontiguousarray(t) for k, t in tensors.items()}, metadata)
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(data)


def read_header(path: str | os.PathLike[str], kind: str, version: int) -> dict[str, Any]:
    """The JSON header alone. Raises CheckpointError unless `path` is a file of this kind and format version."""
    with _opened(Path(path), "pt") as file:
        return _checked_header(Path(path), file.metadata(), kind, version)


def read_tensors(
    path: str | os.PathLike[str], kind: str, version: int, *, framework: str = "pt"
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tensors by name ("pt": torch on the CPU, "np": numpy) and the JSON header.

    Raises CheckpointError, one sentence naming the file, unless it is of this kind and format version.
    """
    path = Path(path)
    with _opened(path, framework) as file:
        header = _checked_header(path, file.metadata(), kind, version)
        return {name: file.get_tensor(name) for name in file.keys()}, header  # noqa: SIM118 (not a mapping)


@contextmanager
def _opened(path: Path, framework: str) -> Iterator[Any]:
    if not path.exists():
        raise CheckpointError(f"{path}: no such file")
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder, expected a safetensors file")
    if path.stat().st_size == 0:
        raise CheckpointError(f"{path} is empty")
    try:
        with safe_open(path, framework=framework) as file:
            yield file
    except SafetensorError as error:
        raise CheckpointError(f"{path} is not a safetensors file, or is cut off: {error}") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from None


def _checked_header(path: Path, metadata: dict[str, str] | None, kind: str, version: int) -> dict[str, Any]:
    text = (metadata or {}).get(HEADER_KEY)
    if text is None:
        raise CheckpointError(f"{path} is a safetensors file, but not one of ours: its metadata has no {HEADER_KEY!r}")
    try:
        header = json.loads(text)
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{path}: the header is not JSON: {error}") from None
    if not isinstance(header, dict) or header.get("kind") != kind:
        found = header.get("kind") if isinstance(header, dict) else type(header).__name__
        raise CheckpointError(f"{path} holds a {found}, expected a {kind}")
    if header.get("format_version") != version:
        raise CheckpointError(
            f"{path}: {kind} format version {header.get('format_version')}, this toolkit reads version {version}"
            f" (it was written by wyckoffkit {header.get('toolkit_version')})"
        )
    return header
