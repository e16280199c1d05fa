"""The categorical noise process in closed form: schedule, priors, forward draws and reverse posteriors.

Symbols follow the D3PM paper (Austin et al. 2021, arXiv:2107.03006) and WyckoffDiff (arXiv:2502.06485,
eq. 10): `x0` clean, `x_t` noised, `K` classes of a variable, `m` the prior vector of
Q_t = (1-β_t) I + β_t 1 mᵀ, so that Q̄_t = ᾱ_t I + u_t 1 mᵀ with u_t = 1 - ᾱ_t. Index 0 is x0 itself;
training draws t from 1 … T and the reverse process ends at t = 0. No K × K matrix is ever formed.
Every function is elementwise over variables of any shape (...); class distributions add a last axis K.
Uniform draws come in as arguments: float64 in [0, 1).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Schedule:
    """ᾱ_t = f(t)/f(0), f(t) = cos((t/T + s)/(1 + s) · π/2), not squared (WyckoffDiff eq. 10), t = 0 … T.

    ᾱ_0 = 1 and ᾱ_T = 0. The published code clips β_T at 0.999 where it is exactly 1 here: the reverse
    process starts from the prior itself.
    """

    T: int = 1000
    s: float = 0.008

    def _angle(self, t: Tensor) -> Tensor:
        return (t.to(torch.float64) / self.T + self.s) / (1 + self.s) * (math.pi / 2)

    def alpha_bar(self, t: Tensor) -> Tensor:
        """Probability that a variable is untouched after `t` steps, float64."""
        return torch.where(t == self.T, 0.0, torch.cos(self._angle(t)) / math.cos(self._angle(torch.zeros(()))))

    def u(self, t: Tensor) -> Tensor:
        """u_t = 1 - ᾱ_t, float64; cos A - cos B = 2 sin((A+B)/2) sin((B-A)/2) loses no digits at small t."""
        A, B = self._angle(torch.zeros_like(t)), self._angle(t)
        difference = 2 * torch.sin((A + B) / 2) * torch.sin((B - A) / 2)
        return torch.where(t == self.T, 1.0, difference / torch.cos(A))

    def step(self, s: Tensor, t: Tensor) -> "Step":
        """The reverse step from `t` to `s < t`, any distance apart."""
        return Step(self.alpha_bar(s), self.alpha_bar(t), self.u(s), self.u(t))

    def nearest(self, u: Tensor) -> Tensor:
        """The step 1 … T whose u_t is nearest to `u`, int64."""
        grid = self.u(torch.arange(self.T + 1, device=u.device))  # (T + 1,)
        above = torch.searchsorted(grid, u.contiguous()).clamp(1, self.T)
        t = torch.where(u - grid[above - 1] < grid[above] - u, above - 1, above)
        return t.clamp(min=1)

    def grid(self, n_steps: int, spacing: str = "alpha_bar") -> Tensor:
        """Decreasing steps T … 0, `n_steps` of them or a few less, even in ᾱ or in t; int64."""
        if not 1 <= n_steps <= self.T:
            raise ValueError(f"a grid over T = {self.T} steps has 1 to {self.T} of them, got {n_steps}")
        if spacing == "t":
            t = torch.linspace(self.T, 0, n_steps + 1, dtype=torch.float64).round().long()
        elif spacing == "alpha_bar":
            t = self.nearest(torch.linspace(1, 0, n_steps + 1, dtype=torch.float64))
            t[-1] = 0
        else:
            raise ValueError(f"spacing is 'alpha_bar' or 't', got {spacing!r}")
        return t.unique().flip(0)


@dataclass(frozen=True)
class Step:
    """One reverse step t → s of each variable: b = ᾱ_s, c = ᾱ_t, and their complements, float64 `(...)`."""

    b: Tensor
    c: Tensor
    u_s: Tensor
    u_t: Tensor

    @classmethod
    def between(cls, u_s: Tensor, u_t: Tensor) -> "Step":
        """The step between two noise levels of continuous time."""
        return cls(1 - u_s, 1 - u_t, u_s, u_t)

    def __getitem__(self, index: object) -> "Step":
        """Gather, for example from materials `(B,)` to their variables."""
        return Step(self.b[index], self.c[index], self.u_s[index], self.u_t[index])  # type: ignore[index]

    @property
    def a(self) -> Tensor:
        """ᾱ_t / ᾱ_s."""
        return self.c / self.b

    @property
    def beta(self) -> Tensor:
        """1 - a."""
        return (self.u_t - self.u_s) / self.b

    @property
    def rho(self) -> Tensor:
        """(b - c)/(1 - c): the probability that a token missing at t is back at s (zeros prior)."""
        return (self.u_t - self.u_s) / self.u_t


@dataclass(frozen=True)
class Prior:
    """The vector m of one kind of variable, float64 `(K,)`, with its running sum and whether it is δ_0."""

    m: Tensor
    cdf: Tensor
    is_zeros: bool

    @classmethod
    def marginal(cls, m: Tensor) -> "Prior":
        """Any vector of probabilities, for example the class frequencies of a dataset."""
        m = m.to(torch.float64)
        if m.ndim != 1 or not bool((m >= 0).all()) or not math.isclose(float(m.sum()), 1.0, abs_tol=1e-6):
            raise ValueError(f"a prior is a vector of probabilities that sum to 1, got {tuple(m.shape)}, sum {m.sum()}")
        m = m / m.sum()
        return cls(m, m.cumsum(0), bool(m[0] == 1))

    @classmethod
    def zeros(cls, K: int) -> "Prior":
        """All mass on class 0, the empty variable: the reverse process is then a birth process."""
        return cls.marginal(torch.nn.functional.one_hot(torch.tensor(0), K))

    @classmethod
    def uniform(cls, K: int) -> "Prior":
        return cls.marginal(torch.full((K,), 1 / K, dtype=torch.float64))

    @property
    def n_classes(self) -> int:
        return len(self.m)

    def to(self, device: torch.device | str) -> "Prior":
        return Prior(self.m.to(device), self.cdf.to(device), self.is_zeros)

    def draw(self, uniform: Tensor) -> Tensor:
        """x ~ m by inversion, int64 `(...)`; a class without mass is never drawn."""
        if self.is_zeros:
            return torch.zeros(uniform.shape, dtype=torch.int64, device=uniform.device)
        last = (self.cdf < self.cdf[-1]).sum()
        return torch.minimum(torch.searchsorted(self.cdf, uniform.contiguous(), right=True), last)


def forward_sample(x0: Tensor, alpha_bar: Tensor, prior: Prior, uniform: Tensor) -> Tensor:
    """x_t ~ q(x_t | x0): keep x0 with probability ᾱ_t, else draw from m; one uniform a variable."""
    kept = uniform < alpha_bar
    if prior.is_zeros:
        return x0 * kept
    return torch.where(kept, x0, prior.draw((uniform - alpha_bar) / (1 - alpha_bar)))


def posterior(p: Tensor, x_t: Tensor, prior: Prior, step: Step) -> Tensor:
    """p(x_s | x_t) = Σ_l q(x_s | x_t, x0 = l) p_l for any m and any s < t, in O(K).

    `p` is p(x0 | x_t), (..., K). Where m_j = 0, x_t = j can only be an untouched x0, so x_s = j for certain.
    Austin et al. eq. 3 and 4, marginalised by hand for the rank-one Q̄_t.
    """
    m = prior.m.to(p)  # (K,)
    a, beta, b, c, u_s, u_t = (v.to(p) for v in (step.a, step.beta, step.b, step.c, step.u_s, step.u_t))  # (...)
    j = x_t.unsqueeze(-1)
    p_j, m_j = p.gather(-1, j).squeeze(-1), m[x_t]
    certain = m_j == 0
    c_j = torch.where(certain, 1.0, c + u_t * m_j)
    R = (1 - p_j) / u_t + p_j * m_j / c_j
    moved = (beta * b / u_t).unsqueeze(-1) * p + (beta * u_s * R).unsqueeze(-1) * m
    stayed = (a + beta * m_j) * (b * p_j / c_j + u_s * R)
    out = moved.scatter(-1, j, stayed.unsqueeze(-1))
    certainly = torch.zeros_like(out).scatter(-1, j, 1.0)
    return torch.where(certain.unsqueeze(-1), certainly, out)


def sample_posterior(drawn: Tensor, x_t: Tensor, prior: Prior, step: Step, uniform: Tensor) -> Tensor:
    """x_s ~ p(x_s | x_t) from one draw l ~ p(x0 | x_t), exactly and without the K-vector; int64 (...)."""
    m_j = prior.m[x_t]
    same = drawn == x_t
    c_j = torch.where(m_j == 0, 1.0, step.c + step.u_t * m_j)
    fresh = step.beta * step.u_s * torch.where(same, m_j / c_j, 1 / step.u_t)  # P(draw from m again)
    moved = torch.where(same, 0.0, step.beta * step.b / step.u_t)
    x_s = torch.where(uniform < fresh + moved, drawn, x_t)
    again = uniform < fresh
    if not prior.is_zeros:
        redrawn = prior.draw(uniform / torch.where(fresh > 0, fresh, 1.0))
        x_s = torch.where(again, redrawn, x_s)
    else:
        x_s = x_s * ~again
    return torch.where(m_j == 0, x_t, x_s)


def draw_categorical(logits: Tensor, uniform: Tensor) -> Tensor:
    """One class from each softmax(logits) by inversion, int64 (...); a logit of -inf is never drawn."""
    cdf = torch.softmax(logits, -1).cumsum(-1)  # (..., K)
    total = cdf[..., -1:]
    below = (cdf <= (uniform.unsqueeze(-1) * total).to(cdf.dtype)).sum(-1)
    return torch.minimum(below, (cdf < total).sum(-1))


def occupancy(logits: Tensor) -> Tensor:
    """log p_nonzero - log p_0 of each variable `(...)`: sigmoid gives 1 - p_0 without cancellation."""
    return torch.logsumexp(logits[..., 1:], -1) - logits[..., 0]


def odds(logits: Tensor) -> Tensor:
    """(1 - p_0)/p_0 of each variable (...), not for training; blocks of rows stay in the cache, 3 times as fast."""
    rows = logits.flatten(0, -2) if logits.ndim > 1 else logits[None]
    # finite, so that a class 0 that cannot be (-inf) gives infinite odds and not NaN
    blocks = [(block[:, 1:] - block[:, :1].clamp(min=-3e38)).exp_().sum(-1) for block in rows.split(_ROWS)]
    return torch.cat(blocks).view(logits.shape[:-1])


_ROWS = 8192


def births(occupied: Tensor, x_t: Tensor, step: Step, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Which empty variables fill in a step of the zeros prior, with chance ρ (1 - p_0): (...) bool.

    And what is left of the uniform numbers, in [0, 1) where a variable fills, to choose its value.
    """
    rate = step.rho * occupied * (x_t == 0)
    return uniform < rate, uniform / rate
