"""The probability of a jump model itself, summed over every order in which its tokens could have come.

n tokens have n! orders but only 2^n - 1 states on the way, so log p(S ∪ τ) gathers log p(S) + log p(τ | S, N) over the
lattice of subsets S.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from wyckoffkit.encoding import WyckoffColumns

from ..batch import Batch
from ..diffusion import legal, position_logits

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]


@torch.no_grad()
def log_probability(
    network: Any, columns: WyckoffColumns, n_elements: int, device: torch.device, batch_size: int
) -> Tensor:
    """log p(x0 | s, n) in nats (N,) float64 of materials in the setting they are in; `batch_size` states at once."""
    n_tokens = np.diff(columns.offset)
    result = torch.zeros(len(n_tokens), dtype=torch.float64)
    for n in np.unique(n_tokens):
        alike = np.flatnonzero(n_tokens == n)
        size = max(1, batch_size >> int(n))
        for part in np.split(alike, range(size, len(alike), size)):
            steps = _steps(network, columns.select(part), int(n), n_elements, device)
            result[part] = _summed(steps.cpu(), int(n))
    return result


def _steps(network: Any, columns: WyckoffColumns, n: int, n_elements: int, device: torch.device) -> Tensor:
    """log p(τ_j | S, N) (M, 2^n - 1, n) of M materials with n tokens; bit j of the second index says whether S has τ_j.

    Where S has it the number means nothing.
    """
    M, Q = len(columns), 2**n - 1
    has = (np.arange(Q)[:, None] >> np.arange(n)) & 1  # (Q, n)
    kept = np.broadcast_to(has == 1, (M, Q, n))

    def subsets(values: Array) -> Array:
        return np.broadcast_to(values.reshape(M, 1, n), (M, Q, n))

    position, element, count = (subsets(v) for v in (columns.position, columns.element, columns.count))
    offset = np.concatenate([[0], np.cumsum(np.tile(has.sum(1), M))])
    states = WyckoffColumns(
        np.repeat(columns.space_group, Q), offset.astype(np.int64), position[kept], element[kept], count[kept]
    )
    batch = Batch.from_columns(states, None, n_elements).to(device)
    n_left = torch.from_numpy(np.tile(n - has.sum(1), M)).to(device)
    chosen = (torch.from_numpy(v.reshape(M * Q, n).astype(np.int64)).to(device) for v in (position, element, count))
    return _token_log_p(network.next_token(batch, n_left), batch, *chosen).view(M, Q, n)


def _token_log_p(tokens: Any, batch: Batch, position: Tensor, element: Tensor, count: Tensor) -> Tensor:
    """log p of the tokens (B, n) asked for as the next one of each state, float64."""
    slots = legal(tokens, batch)
    log_p = -position_logits(slots, batch).logsumexp(-1).double()[:, None].expand(position.shape).clone()
    cell = torch.arange(batch.n_materials, device=batch.device)[:, None] * batch.n_positions + position
    packed = torch.zeros(batch.position_mask.numel(), dtype=torch.int64, device=batch.device)
    for cells in (batch.constrained_cell, batch.unconstrained_cell):
        packed[cells] = torch.arange(len(cells), device=batch.device)
    on_c = batch.constrained_mask.flatten()[cell]
    row, column = packed[cell], element - 1
    log_p[on_c] += slots[0][row[on_c], column[on_c]]
    row, column = row[~on_c], column[~on_c]
    of_count = tokens.count(row, column).float().log_softmax(-1).gather(1, count[~on_c][:, None] - 1).squeeze(1)
    log_p[~on_c] += slots[1][row, column] + of_count
    return log_p


def _summed(steps: Tensor, n: int) -> Tensor:
    """log Σ over orders (M,) of what `_steps` found."""
    reached = torch.full((len(steps), 2**n), -torch.inf, dtype=torch.float64)
    reached[:, 0] = 0
    for state in range(2**n - 1):
        for j in range(n):
            if not state >> j & 1:
                after = state | 1 << j
                reached[:, after] = torch.logaddexp(reached[:, after], reached[:, state] + steps[:, state, j])
    return reached[:, -1]
