"""Algorithms 2-4 of the paper (arXiv 2502.06485) step by step: one material, one position, one pair at a time.

Slow on purpose and written without the network's code: weights come from a state dict by name, everything else
from the CSV table.
"""

from __future__ import annotations

import torch
from torch import Tensor

from wyckoffkit import tables

POSITIONS = {
    number: [row for row in tables.rows("wyckoff_positions") if int(row["number"]) == number]
    for number in range(1, 231)
}


def mlp(weights: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    indices = sorted({int(key.split(".")[-2]) for key in weights if key.startswith(name + ".")})
    for index in indices:
        x = weights[f"{name}.{index}.weight"] @ x + weights[f"{name}.{index}.bias"]
        if index != indices[-1]:
            x = x * torch.sigmoid(x)
    return x


def literal_forward(
    weights: dict[str, Tensor], number: int, t: int, state: list[int | list[int]], *, n_layers: int
) -> list[Tensor]:
    """Logits a position; `state` holds an element on constrained, counts of each element on other positions."""
    positions = POSITIONS[number]
    hs, h_pos = [], []
    for rank, (row, x) in enumerate(zip(positions, state, strict=True)):
        if row["dof"] == "0":
            hs.append(weights["element_embedding.weight"][x])
        else:
            z = torch.stack([weights["count_embedding.weight"][count, 0] for count in x])
            hs.append(weights["count_linear.weight"] @ z + weights["count_linear.bias"])
        four = len(weights["dof_embedding.weight"]) == 4
        p = weights["dof_embedding.weight"][int(row["dof"]) if four else int(row["dof"] == "0")]
        p = p + weights["letter_embedding.weight"][rank]
        p = p + weights["space_group_embedding.weight"][number]
        p = p + weights["time_embedding.weight"][t - 1]
        if "multiplicity_embedding.weight" in weights:
            p = p + weights["multiplicity_embedding.weight"][int(row["multiplicity"])]
        h_pos.append(p)

    for layer in range(n_layers):
        ws = [torch.cat([h, p]) for h, p in zip(hs, h_pos, strict=True)]
        new = []
        for i, w_i in enumerate(ws):
            scores = torch.stack([mlp(weights, f"layers.{layer}.pair_mlp", torch.cat([w_i, w_j]))[0] for w_j in ws])
            a = torch.exp(scores) / torch.exp(scores).sum()
            m = sum(a[j] * mlp(weights, f"layers.{layer}.phi", w_j) for j, w_j in enumerate(ws))
            h = hs[i] + m
            new.append(h * torch.sigmoid(h))
        hs = new

    out = []
    for row, h in zip(positions, hs, strict=True):
        head = "constrained_head" if row["dof"] == "0" else "unconstrained_head"
        out.append(mlp(weights, head, h))
    return out
