"""Tensors and a JSON header in one safetensors file, written whole or not at all, read strictly.

Checkpoints, training states and reference packs are all files of this form. The header sits in the safetensors metadata
under one key (so that equal contents give equal bytes) and names the kind of file, its format version, and a SHA-256
of everything else: a file that a disk or a transfer has changed is refused.
"""

from __future__ import annotations

import hashlib
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
from wyckoffkit.files import replacing

HEADER_KEY = "wyckoffkit"
CONTENT = "content_sha256"
SEALED = "sealed"
"""Beside the digest, so that damage to the name of either is noticed."""
_BEFORE_DIGEST = "wrenformer"
"""The kind of which there is a file, the shipped Wrenformer, of before the digest was kept: it has neither key."""


def write_tensors(
    path: str | os.PathLike[str],
    kind: str,
    version: int,
    tensors: Mapping[str, torch.Tensor] | Mapping[str, np.ndarray],
    header: Mapping[str, Any],
) -> None:
    """Write `tensors` and `header` to `path` atomically (temporary file, fsync, rename)."""
    full = {**header, "kind": kind, "format_version": version, "toolkit_version": __version__, SEALED: True}
    full = {**full, CONTENT: content_digest(full, tensors)}
    metadata = {HEADER_KEY: json.dumps(full, sort_keys=True)}
    of_torch = {k: t for k, t in tensors.items() if isinstance(t, torch.Tensor)}
    if len(of_torch) == len(tensors):
        # safetensors refuses views that share storage, and stores contiguous memory alone.
        data = torch_bytes({k: t.detach().cpu().contiguous() for k, t in of_torch.items()}, metadata)
    else:
        data = numpy_bytes({k: np.ascontiguousarray(t) for k, t in tensors.items()}, metadata)
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(data)


def content_digest(header: Mapping[str, Any], tensors: Mapping[str, Any]) -> str:
    """SHA-256 over the header (but for the digest in it) and names, types, shapes and bytes of all tensors."""
    sha = hashlib.sha256(json.dumps({k: v for k, v in header.items() if k != CONTENT}, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        if isinstance(tensor, torch.Tensor):
            # numpy has no bfloat16; the bytes are what counts.
            dtype = str(tensor.dtype).removeprefix("torch.")
            array = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        else:
            dtype = str(tensor.dtype)
            array = np.ascontiguousarray(tensor).reshape(-1).view(np.uint8)
        sha.update(f"{name} {dtype} {list(tensor.shape)}".encode())
        sha.update(array.data)
    return sha.hexdigest()


def read_tensors(
    path: str | os.PathLike[str], kind: str, version: int, *, framework: str = "pt"
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tensors by name ("pt": torch on the CPU, "np": numpy) and the JSON header.

    Raises CheckpointError, one sentence naming the file, unless it is whole and of this kind and format version.
    """
    path = Path(path)
    with _opened(path, framework) as file:
        header = _checked_header(path, file.metadata(), kind, version)
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    has_digest = CONTENT in header or SEALED in header or kind != _BEFORE_DIGEST
    if has_digest and header.get(CONTENT) != content_digest(header, tensors):
        raise CheckpointError(f"{path} is damaged: its content is not what was written (SHA-256); get the file again")
    return tensors, header


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
    except (json.JSONDecodeError, RecursionError) as error:
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
