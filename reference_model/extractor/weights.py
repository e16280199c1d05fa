"""Extractors on disk: our own safetensors, and aviary's checkpoints, which are pickles and read as data alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from wyckoffkit import CheckpointError

from ..tensorfile import read_tensors, write_tensors
from ..torchfile import TorchFileError, conversion, read_torch_file
from .embed import Extractor
from .features import element_features, has_features, position_classes, position_features
from .wrenformer import Projected, Wrenformer, WrenformerConfig, project

KIND, VERSION = "wrenformer", 1
SHIPPED = Path(__file__).resolve().parent.parent / "weights" / "wrenformer.safetensors"

# aviary's checkpoints hold loss functions, normalisers (never fitted) and scores beside the weights: none is needed.
INERT = ("aviary.", "numpy.", "_codecs.encode", "torch.nn.modules.loss.", "torch.optim.")
KEPT = "{k: c[k] for k in ('model_params', 'model_state', 'state_dict') if k in c}"
CONVERT = f"If you trust it: {conversion(KEPT)}"

NormOrder = Literal["pre", "post"]


def read_extractor(path: Path | None = None, *, norm: NormOrder | None = None) -> Extractor:
    """The extractor in `path` (ours or aviary's, told by content), or the shipped one.

    `norm` says whether an aviary checkpoint's layers normalise before (`pre`) or after (`post`) each block; without it
    the order is found by what each predicts for known crystals, or the file is refused. Raises CheckpointError.
    """
    path = SHIPPED if path is None else Path(path)
    if not path.exists():
        raise CheckpointError(f"{path}: no such file")
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder, expected a checkpoint of Wrenformer")
    with open(path, "rb") as file:
        start = file.read(9)
    return _read_ours(path) if start[8:] == b"{" else _read_aviary(path, norm)


def digest_of(state: Mapping[str, Tensor], config: WrenformerConfig) -> str:
    """SHA-256 over names, shapes and float32 values of the weights, and the configuration."""
    sha = hashlib.sha256(repr(sorted(config.to_dict().items())).encode())
    for name in sorted(state):
        value = state[name].detach().float().contiguous().numpy()
        sha.update(f"{name}{value.shape}".encode() + value.tobytes())
    return sha.hexdigest()


def write_extractor(
    path: Path,
    config: WrenformerConfig,
    state: Mapping[str, Tensor],
    *,
    energy_scale: tuple[float, float],
    card: Mapping[str, Any],
    profile: str = "pymatgen",
) -> None:
    """Ship a trained network: weights in half precision, its projected feature tables in full, so that no feature file
    and no aviary is needed to read it.
    """
    halved = {name: value.detach().half() for name, value in state.items()}
    network = _network(config, {name: value.float() for name, value in halved.items()}, path)
    with torch.no_grad():
        tables = project(network, torch.from_numpy(element_features()), torch.from_numpy(position_features()))
    tensors = {
        **{f"weights.{name}": value for name, value in halved.items()},
        "element": tables.element,
        "position": tables.position,
        "has_features": torch.from_numpy(has_features()),
        "position_class": torch.from_numpy(position_classes().astype(np.int16)),
    }
    header = {
        "checksum": _checksum(tensors),
        "config": config.to_dict(),
        "energy_scale": list(energy_scale),
        "profile": profile,
        "digest": digest_of(network.state_dict(), config),
        "card": dict(card),
    }
    write_tensors(path, KIND, VERSION, tensors, header)


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    sha = hashlib.sha256()
    for name in sorted(tensors):
        sha.update(name.encode() + tensors[name].contiguous().numpy().tobytes())
    return sha.hexdigest()


def _read_ours(path: Path) -> Extractor:
    tensors, header = read_tensors(path, KIND, VERSION)
    try:
        if _checksum(tensors) != header["checksum"]:
            raise CheckpointError(f"{path}: the contents do not have the checksum that the header names")
        config = WrenformerConfig.from_dict(header["config"])
        names = [name for name in tensors if name.startswith("weights.")]
        network = _network(config, {name.removeprefix("weights."): tensors[name].float() for name in names}, path)
        return Extractor(
            network,
            Projected(network.resize_embedding.weight.detach()[:, 0], tensors["element"], tensors["position"]),
            tensors["has_features"].numpy(),
            tensors["position_class"].numpy().astype(np.int64),
            header["digest"],
            path.stem,
            header["profile"],
            tuple(header["energy_scale"]),
            header["card"],
        )
    except KeyError as error:
        raise CheckpointError(f"{path}: not the contents of an extractor: {error} is missing") from None


def _network(config: WrenformerConfig, state: Mapping[str, Tensor], path: Path) -> Wrenformer:
    try:
        network = Wrenformer(config).eval()
        network.load_state_dict(dict(state))
    except (RuntimeError, AssertionError) as error:
        raise CheckpointError(f"{path}: the weights do not fit their configuration: {error}") from None
    return network.requires_grad_(False)


def _read_aviary(path: Path, norm: NormOrder | None) -> Extractor:
    content = _plain(path)
    params, state = _parts(content, path)
    configs = {order: _config(params, order) for order in ("pre", "post")}
    recorded = params.get("norm_first")
    if norm is None and isinstance(recorded, bool):
        norm = "pre" if recorded else "post"
    extractors = {order: _of_aviary(config, state, path) for order, config in configs.items() if norm in (None, order)}
    if norm is not None:
        return extractors[norm]
    from .known import choose_by_energies

    return choose_by_energies(path, extractors)


def _plain(path: Path) -> Mapping[str, Any]:
    """Tensors, numbers, text and containers of a torch file; nothing in it is run."""
    try:
        content = read_torch_file(path, inert=INERT)
    except TorchFileError as error:
        raise CheckpointError(f"{error}. {CONVERT}" if error.has_objects else str(error)) from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, expected aviary's dictionary")
    return content


def _parts(content: Mapping[str, Any], path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """aviary's `model_params`, and its weights without the prefix that averaged models carry."""
    params = content.get("model_params")
    state = content.get("model_state", content.get("state_dict"))
    if not isinstance(params, dict) or not isinstance(state, dict):
        raise CheckpointError(
            f"{path} is no aviary checkpoint: model_params and model_state (or state_dict) are expected, "
            f"it has {', '.join(map(str, content)) or 'nothing'}"
        )
    state = {name.removeprefix("module."): value for name, value in state.items() if name != "n_averaged"}
    if not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path}: model_state holds other things than tensors")
    return params, state


def _config(params: Mapping[str, Any], order: str) -> WrenformerConfig:
    known = {name: params[name] for name in WrenformerConfig.__slots__ if name in params and name != "norm_first"}
    # Checkpoints from before dropout was an option trained with torch's 0.1; it plays no part in evaluation.
    return WrenformerConfig.from_dict({**known, "dropout": 0.0, "norm_first": order == "pre"})


def _of_aviary(config: WrenformerConfig, state: Mapping[str, Tensor], path: Path) -> Extractor:
    card = {"source": str(path), "norm": "pre" if config.norm_first else "post"}
    # The normaliser in aviary's checkpoints was never fitted, so outputs are taken as they are.
    return of_network(_network(config, state, path), config, name=path.stem, energy_scale=(0.0, 1.0), card=card)


def of_network(
    network: Wrenformer,
    config: WrenformerConfig,
    *,
    name: str,
    energy_scale: tuple[float, float],
    card: Mapping[str, Any] | None = None,
) -> Extractor:
    """An extractor of weights in memory; it needs aviary's feature files."""
    with torch.no_grad():
        tables = project(network, torch.from_numpy(element_features()), torch.from_numpy(position_features()))
    return Extractor(
        network,
        tables,
        has_features(),
        position_classes(),
        digest_of(network.state_dict(), config),
        name,
        energy_scale=energy_scale,
        card=dict(card or {}),
    )
