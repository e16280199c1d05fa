"""An exact denoiser: the Bayes posterior of the empirical law of a few real protostructures.

`Oracle` answers as a perfectly trained network would, by comparing a state with every member of its library,
so that whatever is wrong with samples is the sampler's doing. It serves all interfaces: `(batch, t)`,
`.next_token(batch, n_left)` and `.n_left_logits(batch)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from reference_model.batch import Batch
from reference_model.transitions import Schedule
from wyckoffkit.canonical import equivalent_settings
from wyckoffkit.encoding import to_columns
from wyckoffkit.label import parse_label
from wyckoffkit.protostructure import Protostructure

FIXTURE = Path(__file__).parent / "fixtures" / "wbm_groups_62_166_225.txt"


def real_protostructures(number: int, n: int | None = None) -> list[Protostructure]:
    """About ``n`` real protostructures of a group, each in all its equivalent settings, without repetition."""
    labels = [line for line in FIXTURE.read_text().splitlines() if f"_{number}_" in line]
    chosen = labels[:: 1 if n is None else max(1, len(labels) // n)]
    return list(dict.fromkeys(p for label in chosen for p in equivalent_settings(parse_label(label))))


def batch_of(protostructures: list[Protostructure], n_elements: int = 100) -> Batch:
    return Batch.from_columns(to_columns(protostructures), None, n_elements)


def token_keys(batch: Batch) -> tuple[Tensor, Tensor]:
    """The material (k,) of every token, and (k,) one number for (position, element, count)."""
    row = batch.position_row.flatten()
    c = batch.constrained.nonzero().flatten()
    u, e = batch.unconstrained.nonzero(as_tuple=True)
    key_c = (row[batch.constrained_cell[c]] * 128 + batch.constrained[c]) * 64 + 1
    key_u = (row[batch.unconstrained_cell[u]] * 128 + e + 1) * 64 + batch.unconstrained[u, e]
    material = torch.cat([batch.constrained_material[c], batch.unconstrained_material[u]])
    return material, torch.cat([key_c, key_u])


@dataclass
class OracleTokens:
    constrained: Tensor
    unconstrained: Tensor
    joint: Tensor

    def count(self, rows: Tensor, elements: Tensor) -> Tensor:
        return self.joint[rows, elements].log()


class Oracle:
    def __init__(self, library: Batch, max_count: int, schedule: Schedule | None = None) -> None:
        self.library, self.max_count, self.schedule = library, max_count, schedule
        material, key = token_keys(library)
        self.vocabulary, index = key.unique(return_inverse=True)
        self.holds = torch.zeros(library.n_materials, len(self.vocabulary), dtype=torch.float64)
        self.holds[material, index] = 1
        self.n = self.holds.sum(1)  # (M,)
        first = torch.div(self.vocabulary, 64 * 128, rounding_mode="floor")
        self.position_row, self.count_of = first, self.vocabulary % 64
        self.element = self.vocabulary // 64 % 128
        self.calls = 0

    def posterior(
        self, batch: Batch, log_u: Tensor | None = None, n_left: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """p(S0 | S, and u or N) over the library, (B, M), and the number of tokens missing (B, M)."""
        material, key = token_keys(batch)
        at = torch.searchsorted(self.vocabulary, key).clamp(max=len(self.vocabulary) - 1)
        known = self.vocabulary[at] == key
        has = torch.zeros(batch.n_materials, len(self.vocabulary), dtype=torch.float64)
        has[material[known], at[known]] = 1
        size = torch.bincount(material, minlength=batch.n_materials)[:, None]
        inside = (has @ self.holds.T == size) & (batch.space_group[:, None] == self.library.space_group)
        missing = self.n - size
        weight = inside.double()
        if log_u is not None:
            weight = weight * (missing.clamp(min=0) * log_u[:, None]).exp()
        if n_left is not None:
            weight = weight * (missing == n_left[:, None])
        total = weight.sum(1, keepdim=True)
        return weight / torch.where(total > 0, total, 1.0), missing

    def _spread(self, batch: Batch, probability: Tensor) -> tuple[Tensor, Tensor]:
        """Token probabilities (B, V) laid on the variables: (C, E + 1), (U, E, P + 1), zeros in column 0."""
        of_group = (self.library.space_group[self.holds.argmax(0)] == batch.space_group[:, None]).nonzero(as_tuple=True)
        b, v = of_group
        cell_row = torch.zeros(batch.n_materials * batch.n_positions, dtype=torch.int64)
        cell_row[batch.constrained_cell] = torch.arange(len(batch.constrained_cell))
        cell_row[batch.unconstrained_cell] = torch.arange(len(batch.unconstrained_cell))
        cell = b * batch.n_positions + self.position_row[v] - batch.position_row[b, 0]
        on_c = batch.constrained_mask.flatten()[cell]
        constrained = torch.zeros(len(batch.constrained), batch.n_elements + 1, dtype=torch.float64)
        unconstrained = torch.zeros(*batch.unconstrained.shape, self.max_count + 1, dtype=torch.float64)
        p, row, element, count = probability[b, v], cell_row[cell], self.element[v], self.count_of[v]
        constrained[row[on_c], element[on_c]] = p[on_c]
        unconstrained[row[~on_c], element[~on_c] - 1, count[~on_c]] = p[~on_c]
        return constrained, unconstrained

    def __call__(self, batch: Batch, t: Tensor) -> tuple[Tensor, Tensor]:
        """log p(x0 | x_t) of the zeros prior."""
        self.calls += 1
        assert self.schedule is not None
        weight, _ = self.posterior(batch, log_u=self.schedule.u(t).log())
        pair = self._spread(batch, weight @ self.holds)
        for p in pair:
            p[..., 0] = (1 - p.sum(-1)).clamp(min=0)
        # sums of 1 leave rounding in the empty class: what is certainly occupied or empty is so exactly
        logits = [torch.where(p < 1e-12, -torch.inf, p.log()) for p in pair]
        return logits[0], logits[1]

    def next_token(self, batch: Batch, n_left: Tensor) -> OracleTokens:
        """log p(τ ∈ S0 | S, N)."""
        self.calls += 1
        weight, _ = self.posterior(batch, n_left=n_left)
        constrained, unconstrained = self._spread(batch, weight @ self.holds)
        slots = unconstrained[..., 1:].sum(-1)
        return OracleTokens(constrained[:, 1:].log(), slots.log(), unconstrained[..., 1:])

    def n_left_logits(self, batch: Batch) -> Tensor:
        """log π_S(N), the law of what is missing at u = 1."""
        self.calls += 1
        weight, missing = self.posterior(batch)
        table = torch.zeros(batch.n_materials, int(self.n.max()) + 1, dtype=torch.float64)
        return table.scatter_add(1, missing.clamp(min=0).long(), weight).log()
