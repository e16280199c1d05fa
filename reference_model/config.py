"""What a model is made of, as one frozen value that travels with its weights."""

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
