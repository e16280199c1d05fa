"""The probability of a jump model itself, summed over every order in which its tokens could have come.

n tokens have n! orders but only 2^n - 1 states on the way, so log p(S ∪ τ) gathers log p(S) + log p(τ | S, N) over the
lattice of subsets S. Settings of one material, and materials alike, share states (the empty one to begin with): the
network is asked once for each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from wyckoffkit.encoding import WyckoffColumns

from ..batch import Batch
from ..diffusion import legal, position_logits

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]

AHEAD = 64
"""Batches of states that are looked at together for equal ones."""
NO_TOKEN = -1


@torch.no_grad()
def log_probability(
    network: Any, columns: WyckoffColumns, n_elements: int, device: torch.device, batch_size: int
) -> Tensor:
    """log p(x0 | s, n) in nats (N,) float64 of materials in the setting they are in; `batch_size` states at once."""
    n_tokens = np.diff(columns.offset)
    result = torch.zeros(len(n_tokens), dtype=torch.float64)
    for n in np.unique(n_tokens):
        alike = np.flatnonzero(n_tokens == n)
        alike = alike[np.argsort(columns.space_group[alike], kind="stable")]
        size = max(1, AHEAD * batch_size >> int(n))
        for part in np.split(alike, range(size, len(alike), size)):
            steps = _steps(network, columns.select(part), int(n), n_elements, device, batch_size)
            result[part] = _summed(steps, int(n))
    return result


def _steps(
    network: Any, columns: WyckoffColumns, n: int, n_elements: int, device: torch.device, batch_size: int
) -> Tensor:
    """log p(τ_j | S, N) (M, 2^n - 1, n) of M materials with n tokens; bit j of the second index says whether S has τ_j.

    Where S has it the number means nothing.
    """
    M, Q = len(columns), 2**n - 1
    position, element, count = (
        v.reshape(M, n).astype(np.int64) for v in (columns.position, columns.element, columns.count)
    )
    has = (np.arange(Q)[:, None] >> np.arange(n)) & 1 == 1  # (Q, n)
    token = position << 48 | element << 32 | count
    state = np.sort(np.where(has, token[:, None], NO_TOKEN), -1).reshape(M * Q, n)
    group = np.repeat(columns.space_group, Q)[:, None].astype(np.int64)
    distinct, which = np.unique(np.hstack([group, state]), axis=0, return_inverse=True)
    result = torch.empty(M * Q, n, dtype=torch.float64)
    for states, asked, at in _in_batches(distinct, which.reshape(-1), batch_size):
        batch = Batch.from_columns(states, None, n_elements).to(device)
        n_left = torch.from_numpy(n - np.diff(states.offset)).to(device)
        wanted = (torch.from_numpy(v[asked // Q]).to(device) for v in (position, element, count))
        logits = network.next_token(batch, n_left)
        result[asked] = _token_log_p(logits, batch, torch.from_numpy(at).to(device), *wanted).cpu()
    return result.view(M, Q, n)


def _in_batches(distinct: Array, which: Array, batch_size: int) -> Iterator[tuple[WyckoffColumns, Array, Array]]:
    """Distinct states, at most `batch_size`; the rows of `which` (M · Q,) that are such; which of these each row is.

    A row of `distinct` is a group, `NO_TOKEN` for each token that is missing, and the others.
    """
    order = np.argsort(which, kind="stable")
    in_order = which[order]
    for start in range(0, len(distinct), batch_size):
        part = distinct[start : start + batch_size]
        kept = part[:, 1:] != NO_TOKEN
        token = part[:, 1:][kept]
        offset = np.concatenate([[0], np.cumsum(kept.sum(1))])
        states = WyckoffColumns(part[:, 0], offset, token >> 48, token >> 32 & 0xFFFF, token & 0xFFFFFFFF)
        low, high = np.searchsorted(in_order, (start, start + len(part)))
        yield states, order[low:high], in_order[low:high] - start


def _token_log_p(tokens: Any, batch: Batch, at: Tensor, position: Tensor, element: Tensor, count: Tensor) -> Tensor:
    """log p (k, n) float64 of tokens (k, n) as the next one of the states `at` (k,) of the batch."""
    slots = legal(tokens, batch)
    normaliser = position_logits(slots, batch).logsumexp(-1).double()
    log_p = -normaliser[at, None].expand(position.shape).clone()
    cell = at[:, None] * batch.n_positions + position
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
