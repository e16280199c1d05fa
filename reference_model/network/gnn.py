"""WyckoffGNN, the paper's network (Algorithms 2-4), in its printed and its released configuration.

    h_i  = Embedding(z0_i)  or  W Embedding(z∞_i) + b      (constrained; unconstrained, one number a count)
    p_i  = dof + letter + space group + time (+ multiplicity)
    w_i  = [h_i; p_i]
    h_i  ← SiLU(h_i + Σ_j softmax_j(MLP([w_i; w_j])) · MLP_φ(w_j))       j over all positions of the group, i too
    logits of x0 = MLP_0(h_i)  or  MLP_∞(h_i)

The functions are the paper's; the order of work is ours: MLP_φ once a node, the first pair layer split, no padding.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..batch import Batch, group_tables
from ..config import ModelConfig
from ..diffusion import TokenLogits
from ..transitions import odds
from .layout import Block, Layout, layout
from .linear import Linear, at_least_float32, linear, mlp
from .pair import pair_attention

HEAD_ROWS = 256
"""Unconstrained positions whose logits (E, P + 1) are held at once while sampling: 6 MB."""


class MLP(nn.Sequential):
    """Linear layers with SiLU between them; `n_hidden` counts the hidden layers."""

    def __init__(self, n_in: int, n_out: int, width: int, n_hidden: int) -> None:
        layers: list[nn.Module] = [Linear(n_in, width), nn.SiLU()]
        for _ in range(n_hidden - 1):
            layers += [Linear(width, width), nn.SiLU()]
        super().__init__(*layers, Linear(width, n_out))

    @property
    def linears(self) -> list[Linear]:
        return [layer for layer in self if isinstance(layer, Linear)]

    def forward(self, x: Tensor) -> Tensor:
        return mlp(x, self.linears)


class WyckoffGNNLayer(nn.Module):
    """Algorithm 3: one round of attention over a material's positions."""

    def __init__(self, size: int, embedding_size: int, n_hidden: int) -> None:
        super().__init__()
        w_size = size + embedding_size
        self.pair_mlp = MLP(2 * w_size, 1, 2 * w_size, n_hidden)
        self.phi = MLP(w_size, size, 2 * w_size, n_hidden)

    def forward(self, h: Tensor, h_pos: Tensor, blocks: tuple[Block, ...]) -> Tensor:
        w = torch.cat([h, h_pos], 1)  # (N, D + 16)
        first, *hidden, last = self.pair_mlp.linears
        w_i, w_j = first.weight.split(w.shape[1], dim=1)
        first_i = linear(w, w_i, first.bias)  # (N, H)
        first_j = linear(w, w_j, torch.zeros_like(first.bias))
        # The last bias adds one number to all of a softmax's arguments: it changes nothing, and its gradient is zero.
        score = last.weight.flatten() + 0 * last.bias
        return h + pair_attention(blocks, first_i, first_j, self.phi(w), score, hidden)


class WyckoffGNN(nn.Module):
    """Logits of the clean state, given a noisy one and its time."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        size, embedding_size = config.hidden_size, config.embedding_size
        n_elements, n_counts = config.n_elements, config.max_count + 1
        self.config = config
        self.element_embedding = nn.Embedding(n_elements + 1, size)
        self.count_embedding = nn.Embedding(n_counts, 1)
        self.count_linear = Linear(n_elements, size)
        self.dof_embedding = nn.Embedding(config.dof_classes, embedding_size)
        self.letter_embedding = nn.Embedding(27, embedding_size)
        self.space_group_embedding = nn.Embedding(231, embedding_size)
        self.time_embedding = nn.Embedding(config.T, embedding_size)
        self.multiplicity_embedding = nn.Embedding(193, embedding_size) if config.multiplicity_embedding else None
        n_hidden = config.mlp_hidden_layers
        self.layers = nn.ModuleList(WyckoffGNNLayer(size, embedding_size, n_hidden) for _ in range(config.n_layers))
        self.constrained_head = MLP(size, n_elements + 1, 2 * size, n_hidden)
        self.unconstrained_head = MLP(size, n_elements * n_counts, 2 * size, n_hidden)

    def forward(self, batch: Batch, t: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (C, E+1) and (U, E, P+1) at t (B,) in 1 … T; the clean state, t = 0, counts as t = 1."""
        h_constrained, h_unconstrained = self._nodes(batch, t)
        return self.constrained_head(h_constrained), self._counts(h_unconstrained)

    @torch.no_grad()
    def occupancy(self, batch: Batch, t: Tensor) -> TokenLogits:
        """The same law in its factors, for sampling: the widest layer works on few rows at a time."""
        h_constrained, h_unconstrained = self._nodes(batch, t)
        constrained = at_least_float32(self.constrained_head(h_constrained))
        rows = [odds(at_least_float32(self._counts(part))).log() for part in h_unconstrained.split(HEAD_ROWS)]

        def count(row: Tensor, element: Tensor) -> Tensor:
            asked, place = row.unique(return_inverse=True)
            return self._counts(h_unconstrained[asked])[place, element, 1:]

        return TokenLogits(constrained[:, 1:] - constrained[:, :1], torch.cat(rows), count)

    def _nodes(self, batch: Batch, t: Tensor) -> tuple[Tensor, Tensor]:
        """h after the last layer, (C, D) and (U, D)."""
        nodes = layout(batch)
        h = self.embed(batch, nodes)
        h_pos = self.embed_position(batch, nodes, t)
        for layer in self.layers:
            h = F.silu(layer(h, h_pos, nodes.blocks))
        return h[nodes.constrained], h[nodes.unconstrained]

    def _counts(self, h: Tensor) -> Tensor:
        """Logits (k, E, P+1) of the rows h (k, D) of unconstrained positions."""
        return self.unconstrained_head(h).unflatten(1, (self.config.n_elements, -1))

    def embed(self, batch: Batch, nodes: Layout) -> Tensor:
        """h^0, (N, D): what a position holds (Algorithm 2)."""
        constrained = self.element_embedding(batch.constrained)
        counts = _look_up(self.count_embedding.weight.flatten(), batch.unconstrained)  # (U, E)
        unconstrained = self.count_linear(counts)
        h = constrained.new_empty(len(nodes.material), constrained.shape[1])
        h = h.index_copy(0, nodes.constrained, constrained)
        return h.index_copy(0, nodes.unconstrained, unconstrained.to(h.dtype))

    def embed_position(self, batch: Batch, nodes: Layout, t: Tensor) -> Tensor:
        """h_pos, (N, 16): which position it is, and when."""
        static = group_tables(batch.device)
        dof = static.dof[nodes.position_row]
        # Row t - 1 of the table belongs to t noise steps.
        of_material = self.space_group_embedding(batch.space_group) + self.time_embedding((t - 1).clamp(min=0))
        h_pos = (
            self.dof_embedding(dof if self.config.dof_classes == 4 else (dof == 0).long())
            + self.letter_embedding(static.letter[nodes.position_row])
            + of_material[nodes.material]
        )
        if self.multiplicity_embedding is not None:
            h_pos = h_pos + self.multiplicity_embedding(static.multiplicity[nodes.position_row])
        return h_pos


class _LookUp(torch.autograd.Function):
    """table[index] of scalars; the gradient is one scatter, where `nn.Embedding` walks row by row."""

    @staticmethod
    def forward(ctx, table: Tensor, index: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(index)
        ctx.size = table.shape[0]
        return table[index]

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[no-untyped-def]
        (index,) = ctx.saved_tensors
        return grad.new_zeros(ctx.size).scatter_add_(0, index.flatten(), grad.flatten()), None


def _look_up(table: Tensor, index: Tensor) -> Tensor:
    return _LookUp.apply(table, index)
