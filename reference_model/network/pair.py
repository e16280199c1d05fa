"""Σ_j softmax_j(MLP([w_i; w_j])) · v_j over all ordered pairs of a material's positions, in little memory.

The first layer of the pair MLP splits, W [w_i; w_j] = W_1 w_i + W_2 w_j, and is computed once a node by the caller.
What is left on the L² pairs is done in chunks that stay in the processor's cache: materials of different lengths share
a chunk, since a product of few rows costs nearly as much as one of many. The backward pass computes it again, except
that in 16 bits one pre-activation a hidden layer and pair is kept: there memory is cheap and time is short.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .layout import Block
from .linear import autocast_dtype, packed, product

CHUNK_BYTES = {"cpu": 9 << 18}
"""Of one pre-activation of the pairs that are handled at a time: 1084 pairs of width 544 in float32."""
BYTES_ON_DEVICE = 1 << 28
KEPT_ITEM_SIZE = 2
"""Bytes of a number up to which pre-activations are kept for the backward pass."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """Consecutive materials, cut where their lengths change."""

    parts: tuple[Block, ...]

    @property
    def rows(self) -> slice:
        """Of the nodes."""
        last = self.parts[-1]
        return slice(self.parts[0].start, last.start + last.n_materials * last.length)

    @property
    def n_pairs(self) -> int:
        return sum(part.n_materials * part.length**2 for part in self.parts)

    def split(self, nodes: Tensor, pairs: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Of each part, `nodes` (rows of the chunk, ·) as (n, L, ·) and `pairs` (n_pairs, ·) as (n, L, L, ·)."""
        node = pair = 0
        for part in self.parts:
            n, length = part.n_materials, part.length
            ends = node + n * length, pair + n * length**2
            yield (
                nodes[node : ends[0]].view(n, length, *nodes.shape[1:]),
                pairs[pair : ends[1]].view(n, length, length, *pairs.shape[1:]),
            )
            node, pair = ends


def chunks(blocks: Sequence[Block], first: Tensor) -> list[Chunk]:
    """The blocks in chunks of whole materials, so that `first` (·, H) of a chunk's pairs has about the given size."""
    room = budget = CHUNK_BYTES.get(first.device.type, BYTES_ON_DEVICE) // (first.shape[1] * first.element_size())
    found: list[Chunk] = []
    parts: list[Block] = []
    for block in blocks:
        done = 0
        while done < block.n_materials:
            n = min(room // block.length**2, block.n_materials - done)
            if n == 0 and parts:
                found.append(Chunk(tuple(parts)))
                parts, room = [], budget
                continue
            n = max(n, 1)
            parts.append(Block(block.start + done * block.length, n, block.length))
            done, room = done + n, room - n * block.length**2
    return [*found, Chunk(tuple(parts))] if parts else found


def _pre_activations(first: Tensor, hidden: Sequence[Tensor]) -> list[Tensor]:
    """Of every hidden layer, from the first one's on."""
    z = [first]
    for weight, bias in zip(hidden[::2], hidden[1::2], strict=True):
        z.append(product(F.silu(z[-1]), weight, bias))
    return z


def _packed(tensors: Sequence[Tensor], plan: Sequence[Chunk]) -> list[Tensor]:
    """Weights in the order of the products over all chunks; biases as they are."""
    n_pairs = max((chunk.n_pairs for chunk in plan), default=1)
    return [packed(v, n_pairs) if v.ndim == 2 else v for v in tensors]


def _pairs(first_i: Tensor, first_j: Tensor, chunk: Chunk) -> Tensor:
    """First pre-activation of each pair of a chunk: (n_pairs, H), i before j."""
    out = first_i.new_empty(chunk.n_pairs, first_i.shape[1])
    ends = chunk.split(first_i[chunk.rows], out), chunk.split(first_j[chunk.rows], out)
    for (a, pairs), (b, _) in zip(*ends, strict=True):
        torch.add(a[:, :, None], b[:, None], out=pairs)
    return out


class _PairAttention(torch.autograd.Function):
    """Of blocks, first_i and first_j (N, H), values (N, D), score (H,), then weight (H, H) and bias (H,) a layer."""

    @staticmethod
    def forward(ctx: Any, blocks: Sequence[Block], *inputs: Tensor) -> Tensor:
        first_i, first_j, values, score, *hidden = inputs
        out = torch.empty_like(values)
        keep = any(ctx.needs_input_grad)
        keep_z = keep and values.element_size() <= KEPT_ITEM_SIZE
        kept: list[Tensor] = []
        plan = chunks(blocks, first_i)
        layers = _packed(hidden, plan)
        for chunk in plan:
            z = _pre_activations(_pairs(first_i, first_j, chunk), layers)
            kept += z[1:] if keep_z else []
            logits = F.silu(z[-1]) @ score  # (n_pairs,)
            attention = torch.empty_like(logits, dtype=torch.promote_types(logits.dtype, torch.float32))
            of_values, of_out = chunk.split(values[chunk.rows], attention), chunk.split(out[chunk.rows], logits)
            for (v, a), (o, x) in zip(of_values, of_out, strict=True):
                torch.softmax(x, -1, dtype=a.dtype, out=a)
                torch.matmul(a.to(v.dtype), v, out=o)
            if keep:
                kept.append(attention)
        ctx.blocks, ctx.n_inputs = blocks, len(inputs)
        ctx.save_for_backward(*inputs, *kept)
        return out

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Any, ...]:
        inputs, kept = ctx.saved_tensors[: ctx.n_inputs], iter(ctx.saved_tensors[ctx.n_inputs :])
        first_i, first_j, values, score, *hidden = inputs
        grads = [torch.empty_like(v) for v in inputs[:3]]
        # Sums over chunks run in float32 at least, whatever the products are computed in.
        grads += [torch.zeros_like(v, dtype=torch.promote_types(v.dtype, torch.float32)) for v in inputs[3:]]
        keep_z = values.element_size() <= KEPT_ITEM_SIZE
        plan = chunks(ctx.blocks, first_i)
        layers = [] if keep_z else _packed(hidden, plan)
        transposed = _packed([v.t() for v in hidden[::2]], plan)
        for chunk in plan:
            first = _pairs(first_i, first_j, chunk)
            z = [first, *(next(kept) for _ in hidden[::2])] if keep_z else _pre_activations(first, layers)
            grad_logits = _attention_backward(chunk, next(kept), values, grad_out, grads[2]).to(score.dtype)
            grads[3] += grad_logits @ F.silu(z[-1])
            grad_z = torch.ops.aten.silu_backward(grad_logits[:, None] * score, z[-1])
            for k in reversed(range(len(hidden) // 2)):
                grads[5 + 2 * k] += grad_z.sum(0)  # first, while it is in the cache
                grads[4 + 2 * k] += product(grad_z.t(), F.silu(z[k]).t())
                grad_z = torch.ops.aten.silu_backward(product(grad_z, transposed[k]), z[k])
            ends = (chunk.split(grad[chunk.rows], grad_z) for grad in grads[:2])
            for (a, pairs), (b, _) in zip(*ends, strict=True):
                torch.sum(pairs, 2, out=a)
                torch.sum(pairs, 1, out=b)
        return (None, *(grad.to(v.dtype) for grad, v in zip(grads, inputs, strict=True)))


def _attention_backward(
    chunk: Chunk, attention: Tensor, values: Tensor, grad_out: Tensor, grad_values: Tensor
) -> Tensor:
    """Gradient of a chunk's logits (n_pairs,); fills the chunk's rows of `grad_values`."""
    grad_logits = torch.empty_like(attention)
    rows = chunk.rows
    of_values = chunk.split(values[rows], attention), chunk.split(grad_values[rows], grad_logits)
    of_out = chunk.split(grad_out[rows], attention)
    for (v, a), (grad_v, grad_x), (grad, _) in zip(*of_values, of_out, strict=True):
        torch.matmul(a.to(grad.dtype).mT, grad, out=grad_v)
        grad_a = (grad @ v.mT).to(a.dtype)
        torch._softmax_backward_data(grad_a, a, -1, a.dtype, grad_input=grad_x)
    return grad_logits


def pair_attention(
    blocks: Sequence[Block],
    first_i: Tensor,
    first_j: Tensor,
    values: Tensor,
    score: Tensor,
    hidden: Sequence[torch.nn.Linear],
) -> Tensor:
    """(N, D) messages; first_i, first_j (N, H) pre-activations of the pair MLP, score (H,) its last layer.

    The bias of that last layer cancels in the softmax. Under autocast everything but the softmax runs in its dtype.
    """
    weights = [tensor for layer in hidden for tensor in (layer.weight, layer.bias)]
    inputs = [first_i, first_j, values, score, *weights]
    dtype = autocast_dtype(values.device)
    if dtype is None:
        return _PairAttention.apply(blocks, *inputs)
    with torch.autocast(values.device.type, enabled=False):
        return _PairAttention.apply(blocks, *(tensor.to(dtype) for tensor in inputs))
