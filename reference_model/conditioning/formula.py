"""Composition and anonymous formula: what each position may hold next so that the formula stays in reach.

Materials in the same state (atoms of each element so far, free positions of each multiplicity, tokens left) share the
answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import permutations

import numpy as np
import torch
from torch import Tensor

from ..batch import Batch, group_tables
from .constraints import Slots, atoms
from .multiplicities import Element, Used, classes, n_classes, reachable


@dataclass(frozen=True)
class Formula:
    """Atoms in the ratio of a formula, the cell any multiple of it up to a limit."""

    amounts: tuple[int, ...]
    """Atoms of each element in the formula, their greatest common divisor 1."""
    elements: tuple[int, ...] | None
    """Their atomic numbers; None for an anonymous formula, whose elements are any that differ."""
    max_atoms: int
    """In the conventional cell."""
    max_count: int

    @cached_property
    def n_roles(self) -> int:
        return len(self.amounts)

    def n_allowed(self, batch: Batch, n: Tensor) -> Tensor:
        pairs, inverse = torch.stack([batch.space_group, n], 1).unique(dim=0, return_inverse=True)
        can = [self.possible(number, tokens) for number, tokens in pairs.tolist()]
        return torch.tensor(can, device=n.device)[inverse]

    def possible(self, number: int, n: int) -> bool:
        """Whether an empty cell of the group can be filled with exactly n tokens."""
        return bool(_multiples(self, number, n))

    def _feasible(
        self, number: int, free: Used, present: tuple[Element, ...], n_left: int, multiples: tuple[int, ...]
    ) -> bool:
        """Whether elements that have these atoms can end in the formula; an anonymous one may add elements."""
        none = (0,) * len(classes(number)[1])
        for k in multiples:
            for amounts in self._assignments(len(present)):
                lacking = [(k * a - has, used) for a, (has, used) in zip(amounts, present, strict=False)]
                if any(lack < 0 for lack, _ in lacking):
                    continue
                lacking += [(k * a, none) for a in amounts[len(present) :]]
                if reachable(number, free, tuple(sorted(lacking)), n_left, self.max_count, self.max_atoms):
                    return True
        return False

    def _assignments(self, n_present: int) -> Iterator[tuple[int, ...]]:
        """Which amount each present element stands for, the amounts of new elements behind."""
        if self.elements is not None:
            yield self.amounts
        elif n_present <= self.n_roles:
            yield from dict.fromkeys(permutations(self.amounts))

    def slots(self, batch: Batch, n_left: Tensor) -> Slots:
        answers = self._answers(batch, n_left)
        c = answers.constrained[batch.constrained_material]  # (C, roles + 2, classes)
        u = answers.unconstrained.any(-1)[batch.unconstrained_material]
        return (
            _pick(c, answers.role[batch.constrained_material], self._class(batch, batch.constrained_cell)),
            _pick(u, answers.role[batch.unconstrained_material], self._class(batch, batch.unconstrained_cell)),
        )

    def counts(self, batch: Batch, n_left: Tensor, rows: Tensor, elements: Tensor, max_count: int) -> Tensor:
        answers = self._answers(batch, n_left)
        material = batch.unconstrained_material[rows]
        of_class = self._class(batch, batch.unconstrained_cell[rows])
        return answers.unconstrained[material, answers.role[material, elements], of_class]

    def satisfied(self, batch: Batch) -> Tensor:
        has = atoms(batch)
        total = has.sum(1)
        k = total // sum(self.amounts)
        wanted = torch.zeros(batch.n_elements, dtype=torch.int64, device=batch.device)
        if self.elements is not None:
            wanted[[z - 1 for z in self.elements]] = torch.tensor(self.amounts, device=batch.device)
        else:
            wanted[: self.n_roles] = torch.tensor(sorted(self.amounts, reverse=True), device=batch.device)
            has = has.sort(dim=1, descending=True).values
        return (k > 0) & (total <= self.max_atoms) & (has == k[:, None] * wanted).all(1)

    @staticmethod
    def _class(batch: Batch, cell: Tensor) -> Tensor:
        return _class_of_row(batch.device)[batch.position_row.flatten()[cell]]

    def _answers(self, batch: Batch, n_left: Tensor) -> _Answers:
        """Solve every distinct state of the batch once."""
        role, states = self._states(batch, n_left)
        distinct, inverse = states.unique(dim=0, return_inverse=True)
        solved = [self._solve(tuple(row)) for row in distinct.tolist()]
        constrained = torch.from_numpy(np.stack([c for c, _ in solved])).to(batch.device)
        unconstrained = torch.from_numpy(np.stack([u for _, u in solved])).to(batch.device)
        return _Answers(role, constrained[inverse], unconstrained[inverse])

    def _states(self, batch: Batch, n_left: Tensor) -> tuple[Tensor, Tensor]:
        """The role of each element (B, E) and one row of integers a material that says all that matters."""
        B, device = batch.n_materials, batch.device
        free = torch.zeros(B, n_classes(), dtype=torch.int64, device=device)
        c_class = self._class(batch, batch.constrained_cell)
        free = free.index_put((batch.constrained_material, c_class), (batch.constrained == 0).long(), accumulate=True)
        has = atoms(batch)
        role, which = self._roles(has)
        taken = (batch.unconstrained != 0).long()
        used = torch.zeros(B, n_classes(), batch.n_elements, dtype=torch.int64, device=device)
        u_class = self._class(batch, batch.unconstrained_cell)
        used = used.index_put((batch.unconstrained_material, u_class), taken, accumulate=True)
        element = which.clamp(min=0)  # (B, R)
        of_role = torch.cat(
            [has.gather(1, element)[:, None], used.gather(2, element[:, None].expand(-1, n_classes(), -1))], 1
        )
        of_role = torch.where(which[:, None] < 0, -1, of_role)  # (B, 1 + classes, R)
        n_present = (has > 0).sum(1)
        states = [
            batch.space_group[:, None],
            n_left[:, None],
            n_present[:, None],
            free,
            of_role.transpose(1, 2).reshape(B, -1),
        ]
        return role, torch.cat(states, 1)

    def _roles(self, has: Tensor) -> tuple[Tensor, Tensor]:
        """(B, E) the role of each element, R for a new one, R + 1 for one that may not be; (B, R) the inverse."""
        B, E = has.shape
        R = self.n_roles
        if self.elements is not None:
            role = torch.full((E,), R + 1, device=has.device)
            index = torch.tensor(self.elements, device=has.device) - 1
            role[index] = torch.arange(R, device=has.device)
            return role.expand(B, E), index.expand(B, R)
        present = has > 0
        rank = present.cumsum(1) - 1
        role = torch.where(present, rank.clamp(max=R + 1), R)
        which = torch.full((B, R + 1), -1, device=has.device)
        which.scatter_(1, torch.where(present, rank.clamp(max=R), R), torch.arange(E, device=has.device).expand(B, E))
        return role, which[:, :R]

    def _solve(self, state: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Which (role, class) and which (role, class, count) keep the formula in reach."""
        return _solve(self, state)


@dataclass(frozen=True, eq=False)
class _Answers:
    role: Tensor
    """(B, E)."""
    constrained: Tensor
    """(B, R + 2, classes) bool."""
    unconstrained: Tensor
    """(B, R + 2, classes, P) bool."""


@lru_cache(maxsize=100_000)
def _multiples(formula: Formula, number: int, n: int) -> tuple[int, ...]:
    """How many formula units an empty cell of the group can hold in exactly n tokens."""
    c_classes, u_classes = classes(number)
    free, none = tuple(count for _, count in c_classes), (0,) * len(u_classes)
    start = tuple((0, none) for _ in range(formula.n_roles if formula.elements else 0))
    every = range(1, formula.max_atoms // sum(formula.amounts) + 1)
    return tuple(k for k in every if formula._feasible(number, free, start, n, (k,)))


@lru_cache(maxsize=200_000)
def _solve(formula: Formula, state: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    R, P = formula.n_roles, formula.max_count
    number, n_left, n_present = state[:3]
    c_classes, u_classes = classes(number)
    free = state[3 : 3 + len(c_classes)]
    per = 1 + n_classes()
    rows = [state[3 + n_classes() + i * per :][:per] for i in range(R)]
    present = tuple((row[0], row[1 : 1 + len(u_classes)]) for row in rows if row[0] >= 0)
    constrained, unconstrained = np.zeros((R + 2, n_classes()), bool), np.zeros((R + 2, n_classes(), P), bool)
    if n_present > R:
        return constrained, unconstrained
    none = (0,) * len(u_classes)
    placed = sum(n for _, n in c_classes) - sum(free) + sum(sum(used) for _, used in present)
    multiples = _multiples(formula, number, n_left + placed)
    most = max(multiples, default=0) * max(formula.amounts)
    for role in range(R + 1):
        if role == R and (formula.elements is not None or n_present == R):
            continue
        if role < R and role >= len(present):
            continue
        has, used = present[role] if role < R else (0, none)
        others = present[:role] + present[role + 1 :]

        def feasible(free: Used, element: Element, role: int = role, others: tuple[Element, ...] = others) -> bool:
            place = role if role < R else len(others)
            now = (*others[:place], element, *others[place:])
            return formula._feasible(number, free, now, n_left - 1, multiples)

        for i, (multiplicity, _) in enumerate(c_classes):
            if free[i] > 0:
                fewer = tuple(n - (i == k) for k, n in enumerate(free))
                constrained[role, i] = feasible(fewer, (has + multiplicity, used))
        for i, (multiplicity, n) in enumerate(u_classes):
            if used[i] < n:
                more = tuple(t + (i == k) for k, t in enumerate(used))
                for count in range(1, min(P, (most - has) // multiplicity) + 1):
                    unconstrained[role, i, count - 1] = feasible(free, (has + count * multiplicity, more))
    return constrained, unconstrained


def _pick(allowed: Tensor, role: Tensor, of_class: Tensor) -> Tensor:
    """allowed (rows, R + 2, classes) at each row's class and each element's role (rows, E): (rows, E)."""
    at_class = allowed[torch.arange(len(of_class), device=of_class.device), :, of_class]
    return at_class.gather(1, role)


@cache
def _class_of_row(device: torch.device) -> Tensor:
    """(1731,) rank of a position's multiplicity among those of its group and kind."""
    static = group_tables(device)
    ranks = []
    for number, multiplicity, is_constrained in zip(
        static.number.tolist(), static.multiplicity.tolist(), static.is_constrained.tolist(), strict=True
    ):
        kind = classes(number)[0 if is_constrained else 1]
        ranks.append([m for m, _ in kind].index(multiplicity))
    return torch.tensor(ranks, device=device)
