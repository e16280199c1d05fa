"""Σ_j softmax_j(MLP([w_i; w_j])) · v_j over all ordered pairs of a material's positions, in little memory.

The first layer of the pair MLP splits, W [w_i; w_j] = W_1 w_i + W_2 w_j, and is computed once a node by the caller.
What is left on the L² pairs is done in chunks that stay in the processor's cache. The backward pass computes it again,
except that in 16 bits one pre-activation a hidden layer and pair is kept: there memory is cheap and time is short.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .layout import Block
from .linear import autocast_dtype, product

CHUNK_BYTES = {"cpu": 9 << 18}
"""Of one pre-activation of the pairs that are handled at a time: 1084 pairs of width 544 in float32."""
BYTES_ON_DEVICE = 1 << 28
KEPT_ITEM_SIZE = 2
"""Bytes of a number up to which pre-activations are kept for the backward pass."""


def chunks(blocks: Sequence[Block], first: Tensor) -> Iterator[Block]:
    """The blocks cut along materials, so that `first` (·, H) of a chunk's pairs has about the given size."""
    pairs = CHUNK_BYTES.get(first.device.type, BYTES_ON_DEVICE) // (first.shape[1] * first.element_size())
    for block in blocks:
        step = max(1, pairs // block.length**2)
        for first in range(0, block.n_materials, step):
            n_materials = min(step, block.n_materials - first)
            yield Block(block.start + first * block.length, n_materials, block.length)


def _pre_activations(first: Tensor, hidden: Sequence[Tensor]) -> list[Tensor]:
    """Of every hidden layer, from the first one's on."""
    z = [first]
    for weight, bias in zip(hidden[::2], hidden[1::2], strict=True):
        z.append(product(F.silu(z[-1]), weight, bias))
    return z


def _pairs(first_i: Tensor, first_j: Tensor, chunk: Block) -> Tensor:
    """First pre-activation of each pair of a chunk: (n·L·L, H), i before j."""
    n, length = chunk.n_materials, chunk.length
    rows = slice(chunk.start, chunk.start + n * length)
    a = first_i[rows].view(n, length, 1, -1)
    b = first_j[rows].view(n, 1, length, -1)
    return (a + b).view(n * length * length, -1)


class _PairAttention(torch.autograd.Function):
    """Of blocks, first_i and first_j (N, H), values (N, D), score (H,), then weight (H, H) and bias (H,) a layer."""

    @staticmethod
    def forward(ctx: Any, blocks: Sequence[Block], *inputs: Tensor) -> Tensor:
        first_i, first_j, values, score, *hidden = inputs
        out = torch.empty_like(values)
        keep = any(ctx.needs_input_grad)
        keep_z = keep and values.element_size() <= KEPT_ITEM_SIZE
        kept: list[Tensor] = []
        for chunk in chunks(blocks, first_i):
            n, length = chunk.n_materials, chunk.length
            rows = slice(chunk.start, chunk.start + n * length)
            z = _pre_activations(_pairs(first_i, first_j, chunk), hidden)
            kept += z[1:] if keep_z else []
            logits = F.silu(z[-1]) @ score
            logits = logits.view(n, length, length)
            attention = logits.softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))
            if keep:
                kept.append(attention)
            out[rows] = (attention.to(values.dtype) @ values[rows].view(n, length, -1)).flatten(0, 1)
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
        for chunk in chunks(ctx.blocks, first_i):
            n, length = chunk.n_materials, chunk.length
            rows = slice(chunk.start, chunk.start + n * length)
            first = _pairs(first_i, first_j, chunk)
            keep_z = values.element_size() <= KEPT_ITEM_SIZE
            z = [first, *(next(kept) for _ in hidden[::2])] if keep_z else _pre_activations(first, hidden)
            attention = next(kept)
            grad = grad_out[rows].view(n, length, -1)
            grads[2][rows] = (attention.to(grad.dtype).mT @ grad).flatten(0, 1)
            grad_attention = (grad @ values[rows].view(n, length, -1).mT).to(attention.dtype)
            grad_logits = torch._softmax_backward_data(grad_attention, attention, -1, attention.dtype)
            grad_logits = grad_logits.reshape(-1).to(score.dtype)
            grads[3] += grad_logits @ F.silu(z[-1])
            grad_z = torch.ops.aten.silu_backward(grad_logits[:, None] * score, z[-1])
            for k in reversed(range(len(hidden) // 2)):
                grads[4 + 2 * k] += product(grad_z.t(), F.silu(z[k]).t())
                grads[5 + 2 * k] += grad_z.sum(0)
                grad_z = torch.ops.aten.silu_backward(product(grad_z, hidden[2 * k].t()), z[k])
            grad_z = grad_z.view(n, length, length, -1)
            grads[0][rows] = grad_z.sum(2).flatten(0, 1)
            grads[1][rows] = grad_z.sum(1).flatten(0, 1)
        return (None, *(grad.to(v.dtype) for grad, v in zip(grads, inputs, strict=True)))


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
