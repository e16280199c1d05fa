"""Matrix products in float32 through oneDNN, with the gradients of an ordinary linear layer.

PyTorch sends float32 products to MKL, which on processors that are not Intel's leaves AVX-512 alone: 104 GFLOP/s
a thread on an AMD EPYC (family 26) where oneDNN, which ships inside PyTorch too, reaches 230. Both are float32
with float32 accumulation. In bfloat16 PyTorch takes oneDNN by itself, and on other devices nothing changes.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def uses_onednn(x: Tensor) -> bool:
    return _HAS_ONEDNN and x.dtype == torch.float32 and x.device.type == "cpu" and x.shape[0] > 0


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x (M, K) times the transpose of weight (N, K), plus bias (N,): (M, N), without a gradient of its own."""
    if uses_onednn(x):
        return torch.ops.mkldnn._linear_pointwise(_dense(x), _dense(weight), bias, "none", [], "")
    return F.linear(x, weight, bias)


def _dense(matrix: Tensor) -> Tensor:
    """A copy if the matrix is a slice of another: oneDNN would go one number at a time, 500 times slower."""
    return matrix if matrix.is_contiguous() or matrix.t().is_contiguous() else matrix.contiguous()


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        return (
            product(grad, weight.t()) if needs_x else None,
            product(grad.t(), x.t()) if needs_weight else None,
            grad.sum(0) if needs_bias else None,
        )


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`torch.nn.functional.linear` of x (M, K), on the faster of the two float32 libraries; autocast as ever."""
    if uses_onednn(x) and not torch.is_autocast_enabled("cpu"):
        return _Linear.apply(x, weight, bias)
    return F.linear(x, weight, bias)


class Linear(torch.nn.Linear):
    """`torch.nn.Linear` for inputs (M, K), computed by `linear`."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


def at_least_float32(x: Tensor) -> Tensor:
    """Sums, norms and softmaxes are not for 16 bits; float64 stays what it is."""
    return x.float() if x.dtype.itemsize < 4 else x
