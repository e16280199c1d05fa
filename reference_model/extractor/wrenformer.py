"""Wrenformer's forward pass over rows of slots, for aviary's class and for ours, which has the same parameters.

Goodall and Riebesell's Wrenformer (aviary 1.2): a linear map of the 645 features, a transformer encoder over sites, the
mean over equivalent settings and over sites (the *aggregated embedding*, which the Fréchet distance uses), a trunk, and
a head for each target, twice as wide where the loss is robust.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from wyckoffkit import CheckpointError

from .features import N_ELEMENT_FEATURES, N_FEATURES


@dataclass(frozen=True, slots=True, kw_only=True)
class WrenformerConfig:
    """aviary's `model_params`, and the order of normalisation, which aviary changed without recording it."""

    d_model: int = 128
    n_attn_layers: int = 6
    n_attn_heads: int = 4
    trunk_hidden: tuple[int, ...] = (1024, 512)
    out_hidden: tuple[int, ...] = (256, 128, 64)
    n_targets: tuple[int, ...] = (1,)
    robust: bool = True
    norm_first: bool = True
    n_features: int = N_FEATURES
    embedding_aggregations: tuple[str, ...] = ("mean",)
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.n_features != N_FEATURES:
            raise CheckpointError(f"Wrenformer has {N_FEATURES} input features, this one has {self.n_features}")
        if self.embedding_aggregations != ("mean",):
            raise CheckpointError(f"aggregation by mean is known, got {', '.join(self.embedding_aggregations)}")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> WrenformerConfig:
        """The inverse of `to_dict`; raises CheckpointError on keys that are unknown or values of another type."""
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise CheckpointError(f"a Wrenformer has no option {', '.join(unknown)}")
        try:
            lists: dict[str, Any] = {k: tuple(v) if isinstance(v, list | tuple) else v for k, v in values.items()}
            return cls(**lists)
        except TypeError as error:
            raise CheckpointError(f"not the options of a Wrenformer: {error}") from None


class Residual(nn.Module):
    """aviary's ResidualNetwork: h ← relu(W h) + V h, V the identity where the width stays."""

    def __init__(self, widths: Sequence[int], output: int) -> None:
        super().__init__()
        pairs = list(pairwise(widths))
        self.fcs = nn.ModuleList(nn.Linear(a, b) for a, b in pairs)
        self.res_fcs = nn.ModuleList(nn.Identity() if a == b else nn.Linear(a, b, bias=False) for a, b in pairs)
        self.fc_out = nn.Linear(widths[-1], output)

    def forward(self, h: Tensor) -> Tensor:
        for fc, res_fc in zip(self.fcs, self.res_fcs, strict=True):
            h = F.relu(fc(h)) + res_fc(h)
        return self.fc_out(h)


class Wrenformer(nn.Module):
    """The parameters, named as aviary names them; the functions below do the work."""

    def __init__(self, config: WrenformerConfig) -> None:
        super().__init__()
        self.config = config
        d = config.d_model
        self.resize_embedding = nn.Linear(config.n_features, d)
        layer = nn.TransformerEncoderLayer(
            d, config.n_attn_heads, batch_first=True, norm_first=config.norm_first, dropout=config.dropout
        )
        self.transformer_encoder = nn.TransformerEncoder(layer, config.n_attn_layers, enable_nested_tensor=False)
        self.trunk_nn = Residual((d, *config.trunk_hidden), config.out_hidden[0])
        outputs = [n * (2 if config.robust else 1) for n in config.n_targets]
        self.output_nns = nn.ModuleList(Residual(config.out_hidden, n) for n in outputs)


@dataclass(frozen=True, slots=True, eq=False)
class Projected:
    """The first linear map applied once to each element's and each position's features: it distributes over the sum."""

    ratio: Tensor
    """(D,)"""
    element: Tensor
    """(119, D), the bias included."""
    position: Tensor
    """(1731, D)"""


def project(network: Any, element_features: Tensor, position_features: Tensor) -> Projected:
    """Tables for `embed_rows`; `network` is a Wrenformer, ours or aviary's own."""
    weight, bias = network.resize_embedding.weight, network.resize_embedding.bias
    split = 1 + N_ELEMENT_FEATURES
    return Projected(
        weight[:, 0],
        F.linear(element_features, weight[:, 1:split], bias),
        F.linear(position_features, weight[:, split:]),
    )


def embed_rows(
    network: Any, tables: Projected, element: Tensor, position: Tensor, ratio: Tensor, count: Tensor
) -> Tensor:
    """(R, D) the encoder's mean over sites, for R rows of n slots: element, position, ratio, count (R, n).

    A slot with k orbits stands for k equal sites: each would attract attention exp(score), together exp(score + log k).
    """
    h = tables.element[element] + tables.position[position] + ratio[..., None] * tables.ratio  # (R, n, D)
    bias = count.log()[:, None, None, :]  # (R, 1 head, 1 query, n)
    for layer in network.transformer_encoder.layers:
        h = encode(layer, h, bias)
    share = count / count.sum(dim=1, keepdim=True)
    return (h.float() * share[..., None]).sum(dim=1)


def encode(layer: nn.TransformerEncoderLayer, h: Tensor, bias: Tensor) -> Tensor:
    """(R, n, D) after one layer, without dropout, with `bias` added to the attention scores.

    The layer's own forward reads such a mask as yes or no where its fast path is on, so the steps are written out.
    """

    def attend(x: Tensor) -> Tensor:
        attention = layer.self_attn
        heads = F.linear(x, attention.in_proj_weight, attention.in_proj_bias).unflatten(
            -1, (3, attention.num_heads, -1)
        )
        q, k, v = heads.permute(2, 0, 3, 1, 4)  # (R, heads, n, D / heads) each
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        return attention.out_proj(mixed.transpose(1, 2).flatten(2))

    def feed_forward(x: Tensor) -> Tensor:
        return layer.linear2(F.relu(layer.linear1(x)))

    if layer.norm_first:
        h = h + attend(layer.norm1(h))
        return h + feed_forward(layer.norm2(h))
    h = layer.norm1(h + attend(h))
    return layer.norm2(h + feed_forward(h))


def average_settings(embedding: Tensor, weight: Tensor, material: Tensor, n_materials: int) -> Tensor:
    """(n_materials, D): the weighted sum of each material's rows."""
    total = embedding.new_zeros(n_materials, embedding.shape[1])
    return total.index_add(0, material, embedding * weight[:, None])


def predict(network: Any, aggregated: Tensor) -> Tensor:
    """(B, outputs) of the first target: mean, and log standard deviation where the loss is robust."""
    return network.output_nns[0](F.relu(network.trunk_nn(aggregated)))
