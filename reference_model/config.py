"""What a model is made of and how it is trained, as frozen values that travel with the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from wyckoffkit.errors import CheckpointError

Architecture = Literal["wyckoff_gnn", "compact"]
Objective = Literal["d3pm", "jump"]
PriorName = Literal["zeros", "marginal", "uniform"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """One model; `named` gives the three that we train. Raises ValueError on a value that makes no model."""

    name: str
    architecture: Architecture
    objective: Objective = "d3pm"
    prior: PriorName = "zeros"
    T: int = 1000
    """Diffusion steps; a network is asked at t = 1 … T."""
    n_elements: int = 100
    """E: elements 1 … E."""
    max_count: int = 54
    """P: the most orbits of one element on one unconstrained position."""
    hidden_size: int = 256
    """D."""
    n_layers: int = 3

    # wyckoff_gnn: the paper's pair network
    embedding_size: int = 16
    """Of the positional embeddings (dof, letter, space group, time, multiplicity), which are summed."""
    mlp_hidden_layers: int = 2
    dof_classes: Literal[2, 4] = 2
    """2: constrained or not; 4: each number of degrees of freedom."""
    multiplicity_embedding: bool = False

    # compact: ours
    n_heads: int = 4
    expansion: int = 4
    """Hidden width of a block's MLP over D."""
    max_tokens: int = 24
    """The largest number of occupied slots that the count head of the jump objective can name."""
    log_u_offset: bool = True
    """D3PM: add log u_t to every non-zero logit (MATH section 6), which keeps the bound finite as u → 0."""
    condition: str = ""
    """A property of the dataset that the network may be told, such as e_form_per_atom; "" for none (compact alone)."""
    condition_mean: float = 0.0
    condition_std: float = 1.0
    """Over the training materials, in the unit of the property."""

    def __post_init__(self) -> None:
        for name, choices in (("architecture", Architecture), ("objective", Objective), ("prior", PriorName)):
            if getattr(self, name) not in get_args(choices):
                raise ValueError(f"{name} is one of {', '.join(get_args(choices))}, got {getattr(self, name)!r}")
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type == "int" and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise ValueError(f"{field.name} is a whole number above 0, got {value!r}")
            if field.type == "bool" and not isinstance(value, bool):
                raise ValueError(f"{field.name} is true or false, got {value!r}")
        if self.dof_classes not in (2, 4):
            raise ValueError(f"dof_classes is 2 or 4, got {self.dof_classes!r}")
        if self.architecture == "wyckoff_gnn" and self.objective != "d3pm":
            raise ValueError("the paper's network has no head for the jump objective, use architecture compact")
        if self.architecture == "wyckoff_gnn" and self.condition:
            raise ValueError("the paper's network is told no property, use architecture compact")
        if not self.condition_std > 0:
            raise ValueError(f"condition_std is above 0, got {self.condition_std!r}")
        if self.hidden_size % self.n_heads:
            raise ValueError(f"hidden_size {self.hidden_size} is no multiple of n_heads {self.n_heads}")

    @classmethod
    def named(cls, name: str, **changes: Any) -> ModelConfig:
        """`paper` (Algorithms 2-4 and Table 3 as printed), `released` (as their code has it) or `compact` (ours).

        >>> ModelConfig.named("released").multiplicity_embedding
        True
        """
        if name not in _NAMED:
            raise ValueError(f"a model is named {', '.join(_NAMED)}, got {name!r}")
        known = sorted(field.name for field in fields(cls) if field.name != "name")
        for key in changes:
            if key not in known:
                raise CheckpointError(f"there is no setting model.{key}; there are {', '.join(known)}")
        return cls(**{"name": name, **_NAMED[name], **changes})

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """The inverse of `to_dict`; raises CheckpointError on a key that is unknown or missing, or a bad value."""
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise CheckpointError(f"this version knows no model option {', '.join(unknown)}")
        try:
            return cls(**values)
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"the model's configuration is not valid: {error}") from error


_NAMED: dict[str, dict[str, Any]] = {
    "paper": {"architecture": "wyckoff_gnn", "prior": "uniform"},
    "released": {
        "architecture": "wyckoff_gnn",
        "prior": "uniform",
        "mlp_hidden_layers": 3,
        "dof_classes": 4,
        "multiplicity_embedding": True,
    },
    "compact": {"architecture": "compact", "objective": "jump", "hidden_size": 128, "n_layers": 4},
}


WEIGHTINGS = ("variable", "material")
LOSSES = ("cross-entropy", "bound", "hybrid")


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one run. Its length is `steps`, `epochs` or `minutes`, whichever of those given ends first.

    With steps or epochs a run is a function of its data, settings and seed (bit for bit on one CPU); with minutes the
    learning rate follows the clock.
    """

    steps: int | None = None
    epochs: float | None = None
    minutes: float | None = None
    clock: str = "wall"
    """What minutes are: "wall", or "cpu" for processor time of this process over all its threads."""
    batch_size: int = 256
    """Materials in one pass through the network on one process."""
    accumulate: int = 1
    """Passes a process makes for one optimiser step."""
    lr: float = 1e-3
    """Peak learning rate."""
    final_lr: float = 0.01
    """Where the cosine ends, as a fraction of the peak."""
    warmup: float = 0.02
    """Fraction of the run over which the learning rate rises from 0."""
    weight_decay: float = 0.01
    """On matrices alone, not on biases, gains or embeddings of one dimension."""
    beta1: float = 0.9
    beta2: float = 0.99
    clip: float = 1.0
    """Largest norm of the gradient; 0 for no limit."""
    ema: float = 0.999
    """Decay of the running average of the weights a step; 0 for none."""
    weighting: str = "material"
    """"variable": each variable weighs the same (the published loss); "material": each material does."""
    loss: str = "cross-entropy"
    """Of D3PM: "cross-entropy" of x0 (the paper's), the variational "bound", or "hybrid", the bound and a bit of it."""
    hybrid_weight: float = 0.001
    """λ of the hybrid loss (Austin et al. eq. 5): the cross-entropy's weight beside each term of the bound."""
    count_share: float = 0.125
    """Share of each batch that also trains the count head (jump objective)."""
    condition_dropout: float = 0.2
    """Share of the materials whose property is hidden from the network, where the model is told one."""
    augmentation: str = "profile"
    """Random equivalent setting each epoch: "none", "profile" (that of the data) or a profile's name."""
    bf16: bool | None = None
    """bfloat16 autocast; None: where the device has it in hardware."""
    compile: bool = False
    validations: int = 20
    """How often in the run the validation split is looked at."""
    validation_materials: int = 2000
    patience: int = 0
    """Stop after so many validations in a row without a better one; 0: never."""
    log_steps: int = 20
    checkpoint_minutes: float = 5.0
    seed: int = 0
    initialised_from: str = ""
    """SHA-256 of the checkpoint whose weights the run starts from; empty: drawn from the seed."""

    def __post_init__(self) -> None:
        for name in ("steps", "epochs", "minutes"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise CheckpointError(f"{name} must be above 0, got {value}")
        for name in ("batch_size", "accumulate", "log_steps", "validation_materials"):
            if getattr(self, name) < 1:
                raise CheckpointError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("ema", "beta1", "beta2", "warmup", "final_lr", "count_share", "condition_dropout"):
            if not 0 <= getattr(self, name) <= 1:
                raise CheckpointError(f"{name} is a fraction from 0 to 1, got {getattr(self, name)}")
        if self.clock not in ("wall", "cpu"):
            raise CheckpointError(f"clock is wall or cpu, got {self.clock!r}")
        if self.weighting not in WEIGHTINGS:
            raise CheckpointError(f"weighting is one of {', '.join(WEIGHTINGS)}, got {self.weighting!r}")
        if self.loss not in LOSSES:
            raise CheckpointError(f"loss is one of {', '.join(LOSSES)}, got {self.loss!r}")
        if not self.hybrid_weight >= 0:
            raise CheckpointError(f"hybrid_weight is 0 or more, got {self.hybrid_weight}")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainConfig:
        """Strict: raises CheckpointError for an unknown key."""
        known = {f.name for f in fields(cls)}
        for key in values:
            if key not in known:
                raise CheckpointError(f"there is no setting train.{key}; there are {', '.join(sorted(known))}")
        return cls(**values)
