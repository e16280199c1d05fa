"""Training of our own extractor on formation energies: `python -m reference_model.extractor.train DATA… -o run/`.

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
from typing import Annotated, Any

import numpy as np
import torch
import typer
from torch import Tensor, nn

from ..tensorfile import read_tensors, write_tensors
from .energies import Energies, read_energies
from .features import element_features, position_features
from .sites import Rows
from .wrenformer import WrenformerConfig, average_settings, embed_rows, predict, project

KIND, VERSION = "wrenformer training state", 1
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
    """aviary's own class; norm_first is what the installed version makes it."""
    from aviary.wrenformer.model import Wrenformer

    network = Wrenformer(
        robust=config.robust,
        n_targets=list(config.n_targets),
        n_features=config.n_features,
        d_model=config.d_model,
        n_attn_layers=config.n_attn_layers,
        n_attn_heads=config.n_attn_heads,
        dropout=config.dropout,
        trunk_hidden=config.trunk_hidden,
        out_hidden=config.out_hidden,
        task_dict={"e_form": "regression"},
        device="cpu",
    )
    if network.transformer_encoder.layers[0].norm_first != config.norm_first:
        raise typer.BadParameter("the installed aviary builds layers of the other normalisation order")
    return network


class Trainer:
    """State of one training run, on the CPU."""

    def __init__(self, config: WrenformerConfig, settings: Settings, data: Energies, folder: Path) -> None:
        torch.manual_seed(settings.seed)
        self.config, self.settings, self.data, self.folder = config, settings, data, folder
        self.network = aviary_network(config)
        self.averaged = {name: p.detach().clone() for name, p in self.network.named_parameters()}
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.features = torch.from_numpy(element_features()), torch.from_numpy(position_features())
        self.generator = np.random.default_rng(settings.seed)
        self.step = 0
        self.elapsed = 0.0

    def learning_rate(self) -> float:
        progress = min(1.0, self.elapsed / (60 * self.settings.minutes))
        warm = min(1.0, (self.step + 1) / self.settings.warmup_steps)
        return self.settings.learning_rate * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))

    def run(self) -> None:
        """Until the time is used up; the state is saved every few minutes."""
        begin = saved = time.monotonic()
        before = self.elapsed
        losses: list[float] = []
        while self.elapsed < 60 * self.settings.minutes:
            one_setting = self.elapsed < ALL_SETTINGS_FROM * 60 * self.settings.minutes
            for rows, pick in epoch(self.data.train, self.settings.batch_size, self.generator, one_setting):
                losses.append(self._step(rows, pick))
                self.elapsed = before + time.monotonic() - begin
                if time.monotonic() - saved > 60 * self.settings.save_minutes:
                    saved = time.monotonic()
                    self.save()
                    self._log(losses)
                    losses = []
                if self.elapsed >= 60 * self.settings.minutes:
                    break
        self.save()
        self._log(losses)

    def _step(self, rows: Rows, pick: np.ndarray) -> float:
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate()
        materials, material = np.unique(rows.material[pick], return_inverse=True)
        weight = rows.weight[pick]
        weight = weight / np.bincount(material, weights=weight)[material]
        target = torch.from_numpy(self.data.standardised[materials])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            tables = project(self.network, *self.features)
            embedded = embed_rows(self.network, tables, *tensors(rows, pick))
        aggregated = average_settings(
            embedded, torch.from_numpy(weight.astype(np.float32)), torch.from_numpy(material), len(materials)
        )
        mean, log_std = predict(self.network, aggregated).unbind(dim=1)
        from aviary.losses import robust_l1_loss

        loss = robust_l1_loss(mean, log_std, target)
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

    def _log(self, losses: list[float]) -> None:
        record = {
            "step": self.step,
            "minutes": round(self.elapsed / 60, 2),
            "loss": float(np.mean(losses)) if losses else None,
            "mae_4000_held_out": self.error(limit=4000),
        }
        with open(self.folder / "log.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def error(self, limit: int | None = None) -> float:
        """Mean absolute error in eV/atom of the averaged weights on held-out materials."""
        live = {name: p.detach().clone() for name, p in self.network.named_parameters()}
        self.network.load_state_dict(self.averaged)
        errors, seen = [], 0
        with torch.no_grad():
            tables = project(self.network, *self.features)
            for rows in self.data.test:
                keep = np.flatnonzero(rows.material % 8 == 0) if limit else np.arange(len(rows.material))
                for start in range(0, len(keep), 4096):
                    pick = _whole_materials(rows, keep, start, 4096)
                    if not len(pick):
                        continue
                    materials, material = np.unique(rows.material[pick], return_inverse=True)
                    embedded = embed_rows(self.network, tables, *tensors(rows, pick))
                    aggregated = average_settings(
                        embedded, torch.from_numpy(rows.weight[pick]), torch.from_numpy(material), len(materials)
                    )
                    found = predict(self.network, aggregated)[:, 0].numpy() - self.data.standardised[materials]
                    errors.append(np.abs(found))
                    seen += len(materials)
                    if limit and seen >= limit:
                        break
        self.network.load_state_dict(live)
        return float(np.concatenate(errors).mean()) * self.data.std

    def save(self) -> None:
        """The whole state, as safetensors."""
        state: dict[str, Tensor] = {}
        for name, p in self.network.named_parameters():
            state[f"weights.{name}"] = p
            state[f"averaged.{name}"] = self.averaged[name]
            for key, value in self.optimiser.state.get(p, {}).items():
                state[f"adam.{key}.{name}"] = value
        header = {"config": self.config.to_dict(), "step": self.step, "elapsed": self.elapsed}
        write_tensors(self.folder / "state.safetensors", KIND, VERSION, state, header)

    def resume(self) -> None:
        """Continue from the folder's state, if there is one."""
        path = self.folder / "state.safetensors"
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


def _whole_materials(rows: Rows, keep: np.ndarray, start: int, size: int) -> np.ndarray:
    """The rows of `keep[start:start + size]`, moved at both ends so that no material is cut."""
    material = rows.material[keep]
    first = np.searchsorted(material, material[start]) if start else 0
    if start and material[start - 1] != material[start]:
        first = start
    elif start:
        first = np.searchsorted(material, material[start], side="right")
    stop = min(start + size, len(keep))
    if stop < len(keep):
        stop = int(np.searchsorted(material, material[stop - 1], side="right"))
    return keep[first:stop]


def tensors(rows: Rows, pick: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """element, position, ratio, count (R, n) of the picked rows."""
    return (
        torch.from_numpy(rows.element[pick].astype(np.int64)),
        torch.from_numpy(rows.position[pick].astype(np.int64)),
        torch.from_numpy(rows.ratio[pick]),
        torch.from_numpy(rows.count[pick]),
    )


def epoch(
    data: list[Rows], batch_size: int, generator: np.random.Generator, one_setting: bool
) -> Iterator[tuple[Rows, np.ndarray]]:
    """Batches in random order, each of materials with the same number of slots: all rows, or one at random."""
    plan: list[tuple[int, np.ndarray]] = []
    bounds = []
    for i, rows in enumerate(data):
        starts = np.flatnonzero(np.diff(rows.material, prepend=-1))
        bounds.append(np.append(starts, len(rows.material)))
        order = generator.permutation(len(starts))
        plan += [(i, order[at : at + batch_size]) for at in range(0, len(order), batch_size)]
    for k in generator.permutation(len(plan)):
        i, chosen = plan[k]
        first, length = bounds[i][:-1][chosen], np.diff(bounds[i])[chosen]
        if one_setting:
            pick = first + (generator.random(len(first)) * length).astype(np.int64)
        else:
            pick = np.repeat(first - np.cumsum(length) + length, length) + np.arange(length.sum())
        yield data[i], np.sort(pick)


def main(
    wbm: Annotated[Path, typer.Option(help="CSV with label and e_form_per_atom.")],
    output: Annotated[Path, typer.Option("-o", "--output")],
    wren: Annotated[Path | None, typer.Option(help="CSV with wyckoff and formation_energy_per_atom.")] = None,
    relabelings: Annotated[Path | None, typer.Option(help="JSON of aviary's relabelings.")] = None,
    minutes: float = 50.0,
    layers: int = 3,
) -> None:
    """Train, or continue the run in the output folder."""
    torch.set_num_threads(1)
    output.mkdir(parents=True, exist_ok=True)
    data = read_energies(wbm, wren, relabelings)
    config = WrenformerConfig(n_attn_layers=layers, trunk_hidden=(256, 128), out_hidden=(128, 64))
    trainer = Trainer(config, Settings(minutes=minutes), data, output)
    trainer.resume()
    trainer.run()
    (output / "result.json").write_text(json.dumps({"mae": trainer.error(), "steps": trainer.step, **data.facts}))


if __name__ == "__main__":
    typer.run(main)
