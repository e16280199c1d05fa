"""Samplers: free functions over any denoiser, `(network, batch, diffusion, streams, …) -> Batch`.

`batch` says the groups and where to start (`Batch.empty(space_group)`, or tokens that are to be kept, which the
zeros prior and the jump models honour). `streams` holds one random stream a material, so that a sample does not
depend on the batch it is drawn in. `progress(finished, total)` is called after every network call.

| sampler        | network                    | exact                                    | calls      |
|----------------|----------------------------|------------------------------------------|------------|
| ancestral      | D3PM, any prior            | as T grows (the paper's Algorithm 1)     | T          |
| strided        | D3PM, any prior            | as the number of steps grows             | steps      |
| first_hitting  | D3PM, zeros prior          | as refresh → 1: births come one at a time | n + log(1/u) |
| jump           | next token given S and N   | yes                                      | n          |
| count_head     | the same, and its count head | yes                                    | n + 1      |
"""

from __future__ import annotations

from .answers import ask, factors
from .births import count_head, first_hitting, jump
from .materials import packed_rows, replaced, select, uniforms
from .steps import ancestral, reverse_step, strided
from .tokens import Token, draw_slot

__all__ = [
    "Token",
    "ancestral",
    "ask",
    "count_head",
    "draw_slot",
    "factors",
    "first_hitting",
    "jump",
    "packed_rows",
    "replaced",
    "reverse_step",
    "select",
    "strided",
    "uniforms",
]
