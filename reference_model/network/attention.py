"""Dot-product attention within each material, without padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .layout import Block


def _heads(qkv: Tensor, block: Block, n_heads: int) -> Tensor:
    """The block's rows as (3, n, heads, L, D / heads), contiguous."""
    rows = qkv[block.start : block.start + block.n_materials * block.length]
    split = rows.view(block.n_materials, block.length, 3, n_heads, -1)
    return split.permute(2, 0, 3, 1, 4).contiguous()


def _rows(heads: Tensor) -> Tensor:
    """(n, heads, L, d) back to rows (n · L, D)."""
    return heads.transpose(1, 2).flatten(2).flatten(0, 1)


class _BlockAttention(torch.autograd.Function):
    """One node for all blocks: over eighteen lengths in a batch, autograd's bookkeeping costs as much as the work."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, blocks: Sequence[Block], n_heads: int) -> Tensor:
        size = qkv.shape[1] // 3
        out = qkv.new_empty(len(qkv), size)
        scale = (size // n_heads) ** -0.5
        kept = []
        for block in blocks:
            q, k, v = _heads(qkv, block, n_heads)
            attention = ((q * scale) @ k.mT).softmax(-1)
            out[block.start : block.start + block.n_materials * block.length] = _rows(attention @ v)
            kept.append(attention)
        ctx.blocks, ctx.n_heads, ctx.scale = blocks, n_heads, scale
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(qkv, *kept)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        qkv, *kept = ctx.saved_tensors
        grad_qkv = torch.empty_like(qkv)
        for block, attention in zip(ctx.blocks, kept, strict=True):
            rows = slice(block.start, block.start + block.n_materials * block.length)
            n, length = block.n_materials, block.length
            q, k, v = _heads(qkv, block, ctx.n_heads)
            grad_out = grad[rows].view(n, length, ctx.n_heads, -1).transpose(1, 2)
            grad_logits = torch._softmax_backward_data(grad_out @ v.mT, attention, -1, attention.dtype)
            out = grad_qkv[rows].view(n, length, 3, ctx.n_heads, -1)
            out[:, :, 0] = (grad_logits @ k).mul_(ctx.scale).transpose(1, 2)
            out[:, :, 1] = (grad_logits.mT @ q).mul_(ctx.scale).transpose(1, 2)
            out[:, :, 2] = (attention.mT @ grad_out).transpose(1, 2)
        return grad_qkv, None, None


def block_attention(qkv: Tensor, blocks: Sequence[Block], n_heads: int) -> Tensor:
    """softmax(q kᵀ / √d) v of each material: qkv (N, 3 D) in block order to (N, D)."""
    return _BlockAttention.apply(qkv, blocks, n_heads)
