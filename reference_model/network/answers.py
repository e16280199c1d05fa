"""What networks say about slots, in factors: is a slot occupied, and by how many orbits where that is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class TokenLogits:
    """One logit for each slot, and the law of the count on those that are asked for.

    Of the next token they are logits of one softmax over a material's slots; of x0 (D3PM) each slot's log-odds
    against being empty. The counts of all slots at once, (U, E, P), are 0.5 GB for 1,024 materials.
    """

    constrained: Tensor
    """(C, E) of element e + 1 on a constrained position."""
    unconstrained: Tensor
    """(U, E) of element e + 1 on an unconstrained position, whatever its count."""
    count: Callable[[Tensor, Tensor], Tensor]
    """(k,) unconstrained rows and (k,) element indices (0 is H) to logits (k, P) of counts 1 … P."""
