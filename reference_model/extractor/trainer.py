"""Training of our own extractor on formation energies.

aviary's class and robust loss; AdamW with warm-up and cosine decay over a time budget; an average of the weights (EMA)
is kept. Most of the time each material shows one random setting; the last part averages all, as evaluation does.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from wyckoffkit import CheckpointError
from wyckoffkit.canonical import position_permutations

from ..tensorfile import read_tensors, write_tensors
from .embed import tensors
from .energies import Energies, read_energies
from .features import element_features, position_classes, position_features
from .sites import Featuriser, Rows
from .weights import of_network, write_extractor
from .wrenformer import Wrenformer, WrenformerConfig, average_settings, embed_rows, predict, project

KIND, VERSION = "wrenformer training state", 1
STATE, LOG, RESULT = "state.safetensors", "log.jsonl", "wrenformer.safetensors"
ALL_SETTINGS_FROM = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to train."""

    minutes: float = 50.0
    batch_size: int = 384
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup_steps: int = 500
    ema: float = 0.999
    seed: int = 0
    save_minutes: float = 3.0


def aviary_network(config: WrenformerConfig) -> nn.Module:
    """aviary's own class. Raises CheckpointError where the installed version normalises in the other order."""
    from aviary.wrenformer.model import Wrenformer as Theirs

    params = {name: value for name, value in config.to_dict().items() if name != "norm_first"}
    network = Theirs(**params, task_dict={"e_form": "regression"}, device="cpu")
    if network.transformer_encoder.layers[0].norm_first != config.norm_first:
        raise CheckpointError("the installed aviary builds layers of the other normalisation order")
    return network


class Trainer:
    """State of one training run, on the CPU."""

    def __init__(self, config: WrenformerConfig, settings: Settings, data: Energies, folder: Path) -> None:
        torch.manual_seed(settings.seed)
        self.config, self.settings, self.data, self.folder = config, settings, data, folder
        self.rows = Featuriser(position_permutations, position_classes()).rows(data.train)
        mean, std = data.scale
        self.target = torch.from_numpy(((data.train_energy - mean) / std).astype(np.float32))
        self.network = aviary_network(config)
        self.averaged = {name: p.detach().clone() for name, p in self.network.named_parameters()}
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.features = torch.from_numpy(element_features()), torch.from_numpy(position_features())
        self.generator = np.random.default_rng(settings.seed)
        self.step, self.elapsed = 0, 0.0

    @property
    def progress(self) -> float:
        """From 0 to 1 over the time budget."""
        return min(1.0, self.elapsed / (60 * self.settings.minutes))

    def learning_rate(self) -> float:
        """Linear warm-up, then a cosine down to 1 %."""
        warm = min(1.0, (self.step + 1) / self.settings.warmup_steps)
        return self.settings.learning_rate * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * self.progress)))

    def run(self) -> None:
        """Until the time is used up; the state is saved every few minutes."""
        last = saved = time.monotonic()
        losses: list[float] = []
        while self.progress < 1:
            one_setting = self.progress < ALL_SETTINGS_FROM
            for rows, pick in epoch(self.rows, self.settings.batch_size, self.generator, one_setting):
                losses.append(self._step(rows, pick))
                now = time.monotonic()
                self.elapsed, last = self.elapsed + now - last, now
                if now - saved > 60 * self.settings.save_minutes:
                    self._save(losses)
                    losses, saved = [], now
                if self.progress >= 1:
                    break
            self._save(losses)

    def _step(self, rows: Rows, pick: np.ndarray) -> float:
        from aviary.losses import robust_l1_loss

        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate()
        materials, material = np.unique(rows.material[pick], return_inverse=True)
        weight = rows.weight[pick]
        weight = (weight / np.bincount(material, weights=weight)[material]).astype(np.float32)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            embedded = embed_rows(self.network, project(self.network, *self.features), *tensors(rows, pick))
        aggregated = average_settings(
            embedded, torch.from_numpy(weight), torch.from_numpy(material), n_materials=len(materials)
        )
        mean, log_std = predict(self.network, aggregated).unbind(dim=1)
        loss = robust_l1_loss(mean, log_std, self.target[materials])
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        decay = min(self.settings.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, p in self.network.named_parameters():
                self.averaged[name].lerp_(p, 1 - decay)
        return float(loss.detach())

    def error(self, limit: int | None = None) -> float:
        """Mean absolute error in eV/atom of the averaged weights on held-out materials."""
        network = Wrenformer(self.config).eval().requires_grad_(False)
        network.load_state_dict(self.averaged)
        extractor = of_network(network, self.config, name="training", energy_scale=self.data.scale)
        found = extractor.embed(self.data.test.select(slice(limit)))
        return float(np.abs(found.energy - self.data.test_energy[:limit]).mean())

    def _save(self, losses: list[float]) -> None:
        state: dict[str, Tensor] = {}
        for name, p in self.network.named_parameters():
            state[f"weights.{name}"], state[f"averaged.{name}"] = p, self.averaged[name]
            for key, value in self.optimiser.state.get(p, {}).items():
                state[f"adam.{key}.{name}"] = value
        header = {"config": self.config.to_dict(), "step": self.step, "elapsed": self.elapsed}
        write_tensors(self.folder / STATE, KIND, VERSION, state, header)
        record = {
            "step": self.step,
            "minutes": round(self.elapsed / 60, 2),
            "loss": float(np.mean(losses)) if losses else None,
            "mae_4000_held_out": self.error(limit=4000),
        }
        with open(self.folder / LOG, "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def resume(self) -> None:
        """Continue from the folder's state, if there is one."""
        path = self.folder / STATE
        if not path.exists():
            return
        state, header = read_tensors(path, KIND, VERSION)
        with torch.no_grad():
            for name, p in self.network.named_parameters():
                p.copy_(state[f"weights.{name}"])
                self.averaged[name].copy_(state[f"averaged.{name}"])
                keys = [key for key in ("step", "exp_avg", "exp_avg_sq") if f"adam.{key}.{name}" in state]
                self.optimiser.state[p] = {key: state[f"adam.{key}.{name}"] for key in keys}
        self.step, self.elapsed = header["step"], header["elapsed"]
        self.generator = np.random.default_rng([self.settings.seed, self.step])


def epoch(
    data: list[Rows], batch_size: int, generator: np.random.Generator, one_setting: bool
) -> Iterator[tuple[Rows, np.ndarray]]:
    """Batches in random order, each of materials with the same number of slots: all their rows, or one at random."""
    plan: list[tuple[int, np.ndarray]] = []
    starts = []
    for i, rows in enumerate(data):
        begins = np.flatnonzero(np.diff(rows.material, prepend=-1))
        starts.append(np.append(begins, len(rows.material)))
        order = generator.permutation(len(begins))
        plan += [(i, order[at : at + batch_size]) for at in range(0, len(order), batch_size)]
    for k in generator.permutation(len(plan)):
        i, chosen = plan[k]
        first, length = starts[i][:-1][chosen], np.diff(starts[i])[chosen]
        if one_setting:
            pick = first + (generator.random(len(first)) * length).astype(np.int64)
        else:
            pick = np.repeat(first - np.cumsum(length) + length, length) + np.arange(length.sum())
        yield data[i], np.sort(pick)


def train_extractor(
    wbm: Path, output: Path, wren: Path | None = None, *, minutes: float, layers: int, licence: str
) -> None:
    """Train on tables of energies, or continue the run in the output folder, and write the extractor there."""
    torch.set_num_threads(1)
    output.mkdir(parents=True, exist_ok=True)
    data = read_energies(wbm, wren)
    config = WrenformerConfig(n_attn_layers=layers, trunk_hidden=(256, 128), out_hidden=(128, 64))
    trainer = Trainer(config, Settings(minutes=minutes), data, output)
    trainer.resume()
    trainer.run()
    card = {
        "data": [path.name for path in (wbm, wren) if path is not None],
        "licence": licence,
        "training_materials": len(data.train),
        "held_out_materials": len(data.test),
        "held_out_mae_ev_per_atom": round(trainer.error(), 5),
        "steps": trainer.step,
        "minutes": minutes,
    }
    write_extractor(output / RESULT, config, trainer.averaged, energy_scale=data.scale, card=card)
