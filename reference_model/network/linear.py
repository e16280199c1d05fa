"""Matrix products in float32 through oneDNN, with the gradients of an ordinary linear layer.

PyTorch sends float32 products to MKL, which on processors that are not Intel's leaves AVX-512 alone: 104 GFLOP/s
a thread on an AMD EPYC (family 26) where oneDNN, which ships inside PyTorch too, reaches 230. Both are float32
with float32 accumulation. In bfloat16 PyTorch takes oneDNN by itself, and on other devices nothing changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def _uses_onednn(x: Tensor, bias: Tensor | None) -> bool:
    """Float32, and bfloat16 with a bias, which PyTorch would copy to every row first."""
    known = x.dtype == torch.float32 or (x.dtype == torch.bfloat16 and bias is not None)
    return _HAS_ONEDNN and known and x.device.type == "cpu" and x.shape[0] > 0


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x (M, K) times the transpose of weight (N, K), plus bias (N,): (M, N), without a gradient of its own."""
    if weight.is_mkldnn:
        return torch.ops.mkldnn._linear_pointwise(_dense(x), weight, bias, "none", [], "")
    if _uses_onednn(x, bias):
        return torch.ops.mkldnn._linear_pointwise(_dense(x), _dense(weight), bias, "none", [], "")
    return F.linear(x, weight, bias)


def packed(weight: Tensor, n_rows: int) -> Tensor:
    """A weight (N, K) for many a `product`, in oneDNN's own order for x of about `n_rows` rows: same results."""
    if not _HAS_ONEDNN or weight.device.type != "cpu":
        return weight
    known = weight.dtype == torch.float32 or (
        weight.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )
    return torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), n_rows) if known else weight


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


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """What autocast asks for on a device, None where it is off."""
    if not torch.amp.is_autocast_available(device.type) or not torch.is_autocast_enabled(device.type):
        return None
    return torch.get_autocast_dtype(device.type)


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`torch.nn.functional.linear` of x (M, K), on the faster of the libraries; autocast as ever."""
    dtype = autocast_dtype(x.device)
    if dtype is None:
        return _Linear.apply(x, weight, bias)
    with torch.autocast(x.device.type, enabled=False):
        return _Linear.apply(x.to(dtype), weight.to(dtype), bias.to(dtype))


class _MLP(torch.autograd.Function):
    """Of x (M, K), then weight and bias of each layer; keeps pre-activations and computes activations again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *layers: Tensor) -> Tensor:
        z = [product(x, *layers[:2])]
        for k in range(2, len(layers), 2):
            z.append(product(F.silu(z[-1]), *layers[k : k + 2]))
        ctx.save_for_backward(x, *layers[::2], *z[:-1])
        return z[-1]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        n_layers = len(ctx.saved_tensors) // 2
        x, weights, z = ctx.saved_tensors[0], ctx.saved_tensors[1 : n_layers + 1], ctx.saved_tensors[n_layers + 1 :]
        grads: list[Tensor] = []
        for k in reversed(range(n_layers)):
            given = F.silu(z[k - 1]) if k else x
            grads = [product(grad.t(), given.t()), grad.sum(0), *grads]
            if k:
                grad = torch.ops.aten.silu_backward(product(grad, weights[k].t()), z[k - 1])
        return product(grad, weights[0].t()) if ctx.needs_input_grad[0] else None, *grads


def mlp(x: Tensor, layers: Sequence[torch.nn.Linear]) -> Tensor:
    """Linear layers with SiLU between them, x (M, K) to (M, N)."""
    inputs = [x, *(tensor for layer in layers for tensor in (layer.weight, layer.bias))]
    dtype = autocast_dtype(x.device)
    if dtype is None:
        return _MLP.apply(*inputs)
    with torch.autocast(x.device.type, enabled=False):
        return _MLP.apply(*(tensor.to(dtype) for tensor in inputs))


class Linear(torch.nn.Linear):
    """`torch.nn.Linear` for inputs (M, K), computed by `linear`."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


def at_least_float32(x: Tensor) -> Tensor:
    """Sums, norms and softmaxes are not for 16 bits; float64 stays what it is."""
    return x.float() if x.dtype.itemsize < 4 else x
