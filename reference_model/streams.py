"""Random numbers that depend on (seed, sample, step, slot) alone: a sample is the same in any batch or process.

A counter-based generator: SplitMix64 (Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195) applied to keys,
in int64 tensor arithmetic that wraps, so that it runs on every device.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor


def _signed(x: int) -> int:
    return (x + 2**63) % 2**64 - 2**63


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_MIX_1 = _signed(0xBF58476D1CE4E5B9)
_MIX_2 = _signed(0x94D049BB133111EB)


def _shifted(x: Tensor, bits: int) -> Tensor:
    """Logical right shift of int64."""
    return (x >> bits) & (2 ** (64 - bits) - 1)


def _mix(x: Tensor) -> Tensor:
    x = (x ^ _shifted(x, 30)) * _MIX_1
    x = (x ^ _shifted(x, 27)) * _MIX_2
    return x ^ _shifted(x, 31)


def mixed_seed(*numbers: int) -> int:
    """One 63-bit seed from several integers, by the same generator, for those of PyTorch."""
    state = 0
    for number in numbers:
        state = (state ^ number) + 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return state >> 1


class Draw(IntEnum):
    """What a uniform number is for; each purpose has numbers of its own within a step."""

    PRIOR = 0
    CLASS = 1
    POSTERIOR = 2
    POSITION = 3
    ELEMENT = 4
    COUNT = 5
    N_TOKENS = 6
    LEVEL = 7
    SPACE_GROUP = 8
    RESAMPLE = 9
    SETTING = 10
    SUBSET = 11
    ACCEPT = 12


@dataclass(frozen=True, eq=False)
class Streams:
    """One stream a material."""

    key: Tensor
    """(B,) int64."""

    @classmethod
    def of(cls, seed: int, sample: Tensor) -> Streams:
        """The streams of samples number ``sample`` (B,) int64 under a seed (any integer)."""
        start = _mix(torch.tensor(_signed(seed), device=sample.device) + _GOLDEN)
        return cls(_mix(start ^ _mix(sample.to(torch.int64) * _GOLDEN + _MIX_2)))

    def __getitem__(self, index: Tensor) -> Streams:
        return Streams(self.key[index])

    def to(self, device: torch.device | str) -> Streams:
        return Streams(self.key.to(device))

    def uniform(self, step: int, draw: Draw) -> Tensor:
        """One number in [0, 1) a material: (B,) float64."""
        return _to_unit(_mix(self._at(step, draw) + _GOLDEN))

    def uniform_slots(self, step: int, draw: Draw, material: Tensor, slot: Tensor) -> Tensor:
        """One number in [0, 1) for each slot: ``slot`` (N, …) numbers the slots within a material, (N,) says whose."""
        key = self._at(step, draw)[material]
        key = key.reshape(key.shape + (1,) * (slot.ndim - 1))
        return _to_unit(_mix(key + (slot + 1) * _GOLDEN))

    def _at(self, step: int, draw: Draw) -> Tensor:
        counter = torch.tensor(_signed((step * 64 + draw) * 0xD1B54A32D192ED03), device=self.key.device)
        return _mix(self.key ^ _mix(counter))


def _to_unit(x: Tensor) -> Tensor:
    return _shifted(x, 11).to(torch.float64) * 2.0**-53
