"""How many threads a command takes by itself."""

from __future__ import annotations

import os

import pytest
import torch

from reference_model.threads import idle_cores, set_threads


@pytest.mark.parametrize(
    "cores, load, expected", [(8, 0.1, 8), (8, 5.6, 2), (2, 1.2, 1), (2, 17.0, 1), (1, 0.0, 1), (64, 63.6, 1)]
)
def test_threads_are_the_cores_without_work_and_at_least_one(monkeypatch, cores, load, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cores)), raising=False)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0), raising=False)
    assert idle_cores() == expected


def test_what_is_asked_for_counts_more_than_idle_cores(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    try:
        set_threads(2)
        assert torch.get_num_threads() == 2
        set_threads(None)
        assert torch.get_num_threads() == 2
        monkeypatch.delenv("OMP_NUM_THREADS")
        monkeypatch.setattr("reference_model.threads.idle_cores", lambda: 1)
        set_threads(None)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
