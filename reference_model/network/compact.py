"""Our network: a transformer over a material's positions, with features that carry over between groups.

A material is the set of its positions and one summary node. A position enters as what it is (features of the
position, plus a learned row of its own) and what it holds; elements are features of the periodic table plus a
learned row, and the same vectors score the elements on the way out. A slot's value has two parts: whether it is
occupied, one number a slot, and by how many orbits, computed only where it is asked.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..batch import Batch
from ..config import ModelConfig
from ..diffusion import TokenLogits
from ..element_features import element_features
from ..transitions import Schedule
from .attention import block_attention
from .condition import PropertyEmbedding
from .layout import N_ROWS, Block, Layout, layout
from .linear import Linear, at_least_float32, mlp
from .positions import position_features

TIME_WAVES = 8
"""Frequencies of log u_t that D3PM shows to the network."""
BASE_RATE = -5.0
"""Initial log-odds of an occupied slot in D3PM: about one slot in 150 is."""


class TransformerLayer(nn.Module):
    """Pre-norm attention within each material, then an MLP on each node."""

    def __init__(self, size: int, n_heads: int, expansion: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.attention_norm, self.mlp_norm = nn.LayerNorm(size), nn.LayerNorm(size)
        self.qkv, self.attention_out = Linear(size, 3 * size), Linear(size, size)
        self.mlp_in, self.mlp_out = Linear(size, expansion * size), Linear(expansion * size, size)

    def forward(self, h: Tensor, blocks: tuple[Block, ...]) -> Tensor:
        attended = block_attention(self.qkv(self.attention_norm(h)), blocks, self.n_heads)
        h = h + self.attention_out(attended)
        return h + mlp(self.mlp_norm(h), [self.mlp_in, self.mlp_out])


class CompactNetwork(nn.Module):
    """Serves both objectives: D3PM by calling it, the jump objective by `next_token` and `n_left_logits`."""

    element_features: Tensor
    """(E, F), and `position_features` (1731, F')."""
    position_features: Tensor
    log_u: Tensor
    """(T + 1,) of D3PM models."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        size, n_elements = config.hidden_size, config.n_elements
        self.config = config
        self.register_buffer("element_features", element_features(n_elements), persistent=False)
        self.register_buffer("position_features", position_features(), persistent=False)
        self.element_weight = nn.Parameter(torch.randn(self.element_features.shape[1], size) * 0.2)
        self.element_residual = nn.Parameter(torch.randn(n_elements, size) * 0.1)
        self.position_weight = nn.Parameter(torch.randn(self.position_features.shape[1], size) * 0.2)
        self.position_residual = nn.Parameter(torch.randn(N_ROWS + 1, size) * 0.1)

        self.held = Linear(size, size)
        self.held_by_count = Linear(size, size)
        self.count_embedding = nn.Parameter(torch.randn(config.max_count, size) * 0.1)
        self.composition = Linear(size, size)
        self.n_present_embedding = nn.Embedding(config.max_tokens + 1, size)
        self.condition = None
        if config.condition:
            self.condition = PropertyEmbedding(size, config.condition_mean, config.condition_std)
        if config.objective == "jump":
            self.n_left_embedding = nn.Embedding(config.max_tokens + 2, size)
        else:
            self.time_in, self.time_out = Linear(2 * TIME_WAVES + 1, size), Linear(size, size)
            schedule = Schedule(config.T)
            t = torch.arange(config.T + 1)
            self.register_buffer("log_u", schedule.u(t.clamp(min=1)).log().float(), persistent=False)

        self.layers = nn.ModuleList(
            TransformerLayer(size, config.n_heads, config.expansion) for _ in range(config.n_layers)
        )
        self.norm = nn.LayerNorm(size)
        self.query = Linear(size, size)
        self.element_bias = nn.Parameter(torch.zeros(2, n_elements))
        self.position_bias = nn.Parameter(torch.zeros(N_ROWS))
        self.count_position, self.count_element = Linear(size, size), Linear(size, size)
        self.count_out = Linear(size, config.max_count)
        if config.objective == "jump":
            self.n_left_head = Linear(size, config.max_tokens + 1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start each layer as nearly nothing, and the heads at the base rates."""
        depth = (2 * self.config.n_layers) ** -0.5
        for layer in self.layers:
            assert isinstance(layer, TransformerLayer)
            for linear in (layer.attention_out, layer.mlp_out):
                nn.init.normal_(linear.weight, std=depth * linear.in_features**-0.5)
                nn.init.zeros_(linear.bias)
        for linear in (self.query, self.count_out):
            nn.init.normal_(linear.weight, std=0.3 * linear.in_features**-0.5)
            nn.init.zeros_(linear.bias)
        for embedding in (self.n_present_embedding, getattr(self, "n_left_embedding", None)):
            if embedding is not None:
                nn.init.normal_(embedding.weight, std=0.3)
        if self.config.objective == "d3pm":
            nn.init.constant_(self.element_bias, BASE_RATE)

    def forward(self, batch: Batch, t: Tensor) -> tuple[Tensor, Tensor]:
        """D3PM logits of x0, (C, E+1) and (U, E, P+1), at t (B,) in 1 … T; the clean state, t = 0, counts as 1."""
        slots = self.occupancy(batch, t)
        n_rows, n_elements = slots.unconstrained.shape
        device = slots.unconstrained.device
        rows = torch.arange(n_rows, device=device).repeat_interleave(n_elements, output_size=n_rows * n_elements)
        counts = slots.count(rows, torch.arange(n_elements, device=device).repeat(n_rows))
        log_count = at_least_float32(counts).log_softmax(-1).view(n_rows, n_elements, -1)
        unconstrained = slots.unconstrained[..., None] + log_count
        return F.pad(slots.constrained, (1, 0)), F.pad(unconstrained, (1, 0))

    def occupancy(self, batch: Batch, t: Tensor) -> TokenLogits:
        """The same law in its factors: each slot's log-odds against 0 (C, E), (U, E) and the law of the count."""
        log_u = self.log_u[t]  # (B,)
        waves = log_u[:, None] * torch.linspace(0.25, 2, TIME_WAVES).to(log_u)
        features = torch.cat([(t[:, None] / self.config.T).to(waves), waves.sin(), waves.cos()], 1)
        time = self.time_out(F.silu(self.time_in(features)))
        slots = self._slots(*self._trunk(batch, time), batch)
        if not (self.config.log_u_offset and self.config.prior == "zeros"):
            return slots
        return TokenLogits(
            slots.constrained + log_u[batch.constrained_material, None],
            slots.unconstrained + log_u[batch.unconstrained_material, None],
            slots.count,
        )

    def next_token(self, batch: Batch, n_left: Tensor) -> TokenLogits:
        """Of the next token given what is there and how many tokens are missing, n_left (B,) from 1."""
        n_left = self.n_left_embedding(n_left.clamp(max=self.config.max_tokens))
        return self._slots(*self._trunk(batch, n_left), batch)

    def n_left_logits(self, batch: Batch) -> Tensor:
        """(B, max_tokens + 1): f_N(S), where P(N | S, u) = softmax_N(f_N(S) + N log u) (MATH section 5, sampler H)."""
        unknown = torch.full_like(batch.space_group, self.config.max_tokens + 1)
        h, _, nodes = self._trunk(batch, self.n_left_embedding(unknown))
        return self.n_left_head(h[nodes.summary])

    def space_group_logits(self, batch: Batch) -> Tensor:
        """(B, 231): log p(s | property) but for a constant; of models that are told a property."""
        assert self.condition is not None
        return self.condition.space_group_logits(batch)

    def elements(self) -> Tensor:
        """(E, D): what the periodic table says, and a residual."""
        return self.element_features @ self.element_weight + self.element_residual

    def _trunk(self, batch: Batch, condition: Tensor) -> tuple[Tensor, Tensor, Layout]:
        """h (N, D) after the last norm, the element vectors, the layout; condition (B, D) reaches every node."""
        nodes = layout(batch, n_summary=1)
        condition = at_least_float32(condition)
        elements = self.elements()
        on_constrained, on_unconstrained = self._holdings(batch, elements)
        shape = (batch.n_materials, elements.shape[1])
        total = condition.new_zeros(shape).index_add(0, batch.constrained_material, on_constrained)
        total = total.index_add(0, batch.unconstrained_material, on_unconstrained)
        n_present = batch.n_tokens().clamp(max=self.config.max_tokens)
        condition = condition + self.n_present_embedding(n_present)
        if self.condition is not None:
            condition = condition + self.condition(batch)

        positions = F.pad(self.position_features @ self.position_weight, (0, 0, 0, 1)) + self.position_residual
        h = F.embedding(nodes.position_row, at_least_float32(positions)) + F.embedding(nodes.material, condition)
        h = h.index_add(0, nodes.constrained, on_constrained)
        h = h.index_add(0, nodes.unconstrained, on_unconstrained)
        h = h.index_add(0, nodes.summary, self.composition(total).to(h.dtype))
        for layer in self.layers:
            h = layer(h, nodes.blocks)
        return self.norm(h), elements, nodes

    def _holdings(self, batch: Batch, elements: Tensor) -> tuple[Tensor, Tensor]:
        """What each position holds: (C, D), and (U, D) summed over its elements and their counts."""
        held = self.held(elements)  # (E, D)
        on_constrained = F.embedding(batch.constrained, at_least_float32(F.pad(held, (0, 0, 1, 0))))
        counts = batch.unconstrained
        present = (counts > 0).to(held.dtype)
        by_count = counts.to(held.dtype).clamp(min=1).log2()  # 0 for one orbit and for none
        histogram = held.new_zeros(len(counts), self.config.max_count + 1)
        histogram = histogram.scatter_add(1, counts, torch.ones_like(present))[:, 1:]  # (U, P)
        on_unconstrained = present @ held + by_count @ self.held_by_count(elements) + histogram @ self.count_embedding
        return on_constrained, at_least_float32(on_unconstrained)

    def _slots(self, h: Tensor, elements: Tensor, nodes: Layout, batch: Batch) -> TokenLogits:
        keys = elements * elements.shape[1] ** -0.5  # (E, D)
        of_constrained, of_unconstrained = h[nodes.constrained], h[nodes.unconstrained]
        bias = self.position_bias[nodes.position_row.clamp(max=N_ROWS - 1)]  # (N,)

        def score(h_kind: Tensor, node: Tensor, kind: int) -> Tensor:
            scores = at_least_float32(self.query(h_kind) @ keys.t())
            return scores + bias[node, None] + self.element_bias[kind]

        def count(rows: Tensor, element: Tensor) -> Tensor:
            position = F.embedding(rows, self.count_position(of_unconstrained))
            return self.count_out(F.silu(position + F.embedding(element, self.count_element(elements))))

        return TokenLogits(
            score(of_constrained, nodes.constrained, 0), score(of_unconstrained, nodes.unconstrained, 1), count
        )
