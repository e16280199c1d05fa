"""The training loop: micro-batches in, checkpoints and a log out.

Every random number is a function of (seed, number of the micro-batch), and micro-batches are dealt to accumulation
passes and processes in turn. So a run resumed, or spread over processes at the same global batch, does the same work.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wyckoffkit import CheckpointError, WyckoffkitError

from ..checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from ..config import TrainConfig
from ..devices import has_fast_bf16
from ..network import build_network
from ..streams import mixed_seed
from .data import TrainingData
from .objective import Objective, Question
from .optimiser import Average, adamw, moments, rate, restore_moments
from .prefetch import ahead
from .processes import average_gradients, from_first, mean_over_processes, rank, world_size
from .state import Progress, forget_states, read_state, write_state

Record = dict[str, Any]
CHECKPOINT = "checkpoint.safetensors"
BEST = "best.safetensors"

# Settings that may differ when a run is continued: they do not change what is learnt from a step.
_FREE = {"log_steps", "checkpoint_minutes", "compile"}


def compiled(objective: Objective, device: torch.device) -> Callable[[Question], Tensor]:
    """The objective under torch.compile; batches are ragged, so shapes are dynamic. WyckoffkitError on a CPU."""
    if device.type == "cpu":
        raise WyckoffkitError(
            "compile is for GPUs: on a CPU the networks call oneDNN, which torch.compile cannot trace; train without it"
        )
    return torch.compile(objective, dynamic=True)


class Run:
    """One training run in a folder: build it, `resume()` what is there, `train()`.

    `template` is a Checkpoint without weights: configuration, priors, profile and the data's provenance. `validate`
    maps the averaged network to figures, of which "bits" (else "loss") decides which checkpoint is best: the lowest.
    """

    def __init__(
        self,
        folder: Path,
        template: Checkpoint,
        config: TrainConfig,
        data: TrainingData,
        *,
        device: torch.device | None = None,
        validate: Callable[[nn.Module], dict[str, float]] | None = None,
        log: Callable[[Record], None] = lambda record: None,
        tick: Callable[[float, Progress], None] = lambda fraction, progress: None,
    ) -> None:
        self.folder, self.template, self.config, self.data = folder, template, config, data
        self.device = device or torch.device("cpu")
        self.validate, self.log, self.tick = validate, log, tick
        if config.steps is None and config.epochs is None and config.minutes is None:
            raise WyckoffkitError("a run needs an end: steps, epochs or minutes")
        torch.manual_seed(mixed_seed(config.seed))
        self.network = build_network(template.config).to(self.device)
        self.average = Average(self.network, build_network(template.config).to(self.device), config.ema)
        self.optimiser = adamw(self.network, config)
        shares = config.count_share, config.condition_dropout
        self.objective = Objective(
            self.network, template, config.weighting, *shares, loss=config.loss, hybrid_weight=config.hybrid_weight
        )
        self.loss = compiled(self.objective, self.device) if config.compile else self.objective
        self.progress = Progress()
        self.bf16 = config.bf16 if config.bf16 is not None else has_fast_bf16(self.device)
        self.stop_requested = False
        self._start_clock()
        self._running = torch.zeros((), device=self.device)

    @property
    def passes(self) -> int:
        """Micro-batches in one optimiser step, over all processes."""
        return self.config.accumulate * world_size()

    @property
    def settings(self) -> dict[str, Any]:
        """What must agree for a run to be continued."""
        kept = {k: v for k, v in self.config.to_dict().items() if k not in _FREE}
        kept["batch"] = self.config.batch_size * self.passes
        del kept["accumulate"]
        return {**kept, "data": self.template.dataset, "profile": self.template.profile}

    def fraction(self) -> float:
        """How much of the run is behind: the largest of steps, epochs and minutes over their budgets."""
        config, step = self.config, self.progress.step
        parts = [0.0]
        if config.steps:
            parts.append(step / config.steps)
        if config.epochs:
            parts.append(step * self.passes / (config.epochs * self.data.batches_per_epoch))
        if config.minutes:
            spent = self.seconds() if config.clock == "wall" else self.cpu_seconds()
            parts.append(spent / (60 * config.minutes))
        return max(parts)

    def seconds(self) -> float:
        return self.progress.seconds + time.monotonic() - self._since

    def cpu_seconds(self) -> float:
        return self.progress.cpu_seconds + time.process_time() - self._cpu_since

    def _start_clock(self) -> None:
        self._since, self._cpu_since = time.monotonic(), time.process_time()

    def _stop_clock(self) -> None:
        self.progress.seconds, self.progress.cpu_seconds = self.seconds(), self.cpu_seconds()
        self._start_clock()

    def resume(self) -> bool:
        """Continue from the folder's checkpoint, if it has one. Raises CheckpointError if it is of another run."""
        path = self.folder / CHECKPOINT
        if not path.exists():
            return False
        checkpoint = read_checkpoint(path)
        if checkpoint.config != self.template.config:
            raise CheckpointError(f"{path} is of another model configuration; choose another run folder")
        progress, settings, tensors = read_state(self.folder, int(checkpoint.training["step"]))
        defaults = TrainConfig().to_dict()
        for key, value in self.settings.items():
            # A setting that is newer than the state had its default then.
            begun = settings.get(key, defaults.get(key, value))
            if begun != value:
                raise CheckpointError(
                    f"{self.folder} was begun with {key} = {_told(begun)}, now {_told(value)}; "
                    "continue with the same settings or choose another run folder"
                )
        self.progress = progress
        self._running.fill_(progress.loss_sum)
        self.network.load_state_dict(checkpoint.weights)
        self.average.network.load_state_dict(checkpoint.ema)
        restore_moments(self.network, self.optimiser, tensors)
        self._start_clock()
        return True

    def initialise(self, checkpoint: Checkpoint) -> None:
        """Start from the averaged weights of `checkpoint`, which is of the same model configuration.

        A model that is told a property may start from one that is not, and does as that one did until it learns better.
        """
        weights = dict(checkpoint.ema or checkpoint.weights)
        if not checkpoint.config.condition:
            own = self.network.state_dict()
            weights |= {name: own[name] for name in own.keys() - weights.keys()}
        self.network.load_state_dict(weights)
        self.average.network.load_state_dict(weights)

    def train(self) -> Progress:
        """Train to the end of the budget, to early stopping, or until `stop_requested`; the last state is saved."""
        config, progress = self.config, self.progress
        self._start_clock()
        saved = logged = time.monotonic()
        begun = progress.step
        questions = self._questions()
        while True:
            fraction, stop = from_first([self.fraction(), float(self.stop_requested)])
            if int(fraction * config.validations) > progress.validations:
                progress.validations = int(fraction * config.validations)
                self._look_at_validation()
            if fraction >= 1 or stop or (config.patience and progress.without_better >= config.patience):
                break
            self.step(questions, fraction)
            self.tick(fraction, progress)
            if progress.step % config.log_steps == 0:
                now = time.monotonic()
                self._write_log(now - logged)
                logged = now
            if time.monotonic() - saved > 60 * config.checkpoint_minutes:
                self.save()
                saved = time.monotonic()
        if progress.step > begun or not (self.folder / CHECKPOINT).exists():
            self.save()
        self._stop_clock()
        return progress

    def step(self, questions: Iterator[Question], fraction: float) -> None:
        """One optimiser step; nothing here waits for the device."""
        config = self.config
        self.optimiser.zero_grad(set_to_none=True)
        for _ in range(config.accumulate):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                loss = self.loss(next(questions))
            (loss / config.accumulate).backward()
            self._running += loss.detach() / config.accumulate
        average_gradients(self.network.parameters())
        if config.clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), config.clip, foreach=True)
        for group in self.optimiser.param_groups:
            group["lr"] = rate(fraction, config)
        self.optimiser.step()
        self.average.update(self.progress.step)
        self.progress.step += 1

    def _questions(self) -> Iterator[Question]:
        """On the device; for a GPU a thread noises and pins them while it works."""
        asked = self._asked()
        if self.device.type == "cuda":
            asked = ahead(question.pin_memory() for question in asked)
        for question in asked:
            yield question.to(self.device)

    def _asked(self) -> Iterator[Question]:
        generator = torch.Generator()
        start = self.progress.step * self.passes
        for number, batch in self.data.batches(start, world_size(), rank()):
            generator.manual_seed(mixed_seed(self.config.seed, number))
            yield self.objective.ask(batch, generator)

    def _write_log(self, seconds: float) -> None:
        steps = self.progress.step - self.progress.logged_step
        loss = float(mean_over_processes(self._running)) / steps
        self._running.zero_()
        self.progress.logged_step = self.progress.step
        if loss != loss:
            raise WyckoffkitError(
                f"the loss is not a number by step {self.progress.step}; the last checkpoint is sound: "
                "continue from it with a lower learning rate in a new folder"
            )
        materials = steps * self.passes * min(self.config.batch_size, self.data.n_materials)
        self.log(
            {
                "step": self.progress.step,
                "epoch": self.progress.step * self.passes / self.data.batches_per_epoch,
                "seconds": round(self.seconds(), 2),
                "loss": loss,
                "lr": self.optimiser.param_groups[0]["lr"],
                "materials_per_second": round(materials / max(seconds, 1e-9), 1),
            }
        )

    def _look_at_validation(self) -> None:
        if self.validate is None:
            return
        progress = self.progress
        figures = self.validate(self.average.network) if rank() == 0 else {}
        (figure,) = from_first([figures.get("bits", figures.get("loss", 0.0))])
        if progress.best is None or figure < progress.best:
            progress.best, progress.best_step, progress.without_better = figure, progress.step, 0
            if rank() == 0:
                write_checkpoint(
                    self.folder / BEST, replace(self._checkpoint().exported(), training=self._figures(figures))
                )
        else:
            progress.without_better += 1
        self.log({"step": progress.step, "seconds": round(self.seconds(), 2), "validation": figures})

    def _figures(self, more: dict[str, Any] | None = None) -> dict[str, Any]:
        return {
            "step": self.progress.step,
            "materials": self.progress.step * self.passes * self.config.batch_size,
            "seconds": round(self.seconds(), 1),
            "cpu_seconds": round(self.cpu_seconds(), 1),
            "validation": more or {},
            "settings": self.config.to_dict(),
        }

    def _checkpoint(self) -> Checkpoint:
        def on_cpu(network: nn.Module) -> dict[str, Tensor]:
            return {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}

        return replace(
            self.template,
            weights=on_cpu(self.network),
            ema=on_cpu(self.average.network),
            training=self._figures({"best": self.progress.best, "best_step": self.progress.best_step}),
        )

    def save(self) -> None:
        """Write state and checkpoint, in the order that survives being killed between them."""
        loss_sum = float(mean_over_processes(self._running))
        if rank() != 0:
            return
        progress = replace(self.progress, seconds=self.seconds(), cpu_seconds=self.cpu_seconds(), loss_sum=loss_sum)
        write_state(
            self.folder, progress, self.settings, {(n, q): t for n, q, t in moments(self.network, self.optimiser)}
        )
        write_checkpoint(self.folder / CHECKPOINT, self._checkpoint())
        forget_states(self.folder, keep=progress.step)


def _told(setting: object) -> str:
    return "(not given)" if setting is None else str(setting)
