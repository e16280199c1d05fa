"""Calibration: the exact denoiser passes, a distorted one fails; and the command writes its picture."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import torch
from oracle import Oracle, OracleTokens, batch_of, real_protostructures
from torch import Tensor
from typer.testing import CliRunner

from reference_model.batch import Batch
from reference_model.diffusion import Diffusion
from reference_model.report.reliability import render_calibration
from reference_model.sampler import select
from reference_model.score.app import app
from reference_model.score.calibration import Calibration, Reliability, add_diffusion, add_jump
from reference_model.streams import Draw, Streams

P = 8
DIFFUSION = Diffusion.of("zeros", 100, P)
# Calibrated predictions of one question exclude each other, so that |z| is a standard normal at most: over 6 one time
# in 5e8 a bin, and there are about 60.
ALARM = 6.0


@cache
def library() -> Batch:
    return batch_of([p for number in (62, 225) for p in real_protostructures(number, 60)])


@dataclass
class Distorted:
    """The oracle with what it says of every second element, or of a whole kind of position, multiplied by e."""

    oracle: Oracle

    def next_token(self, batch: Batch, n_left: Tensor) -> OracleTokens:
        tokens = self.oracle.next_token(batch, n_left)
        lean = torch.arange(tokens.constrained.shape[1]) % 2
        return OracleTokens(tokens.constrained + lean + 1, tokens.unconstrained + lean, tokens.joint)

    def __call__(self, batch: Batch, t: Tensor) -> tuple[Tensor, Tensor]:
        constrained, unconstrained = self.oracle(batch, t)
        lean = torch.arange(constrained.shape[1]) % 2
        return constrained + lean, unconstrained + (torch.arange(unconstrained.shape[2]) > 0)


def asked(objective: str, *, distorted: bool = False, n: int = 3000) -> Calibration:
    """Of materials drawn from the library at random, about which the network is asked one question each."""
    oracle = Oracle(library(), P, DIFFUSION.schedule)
    network: Any = Distorted(oracle) if distorted else oracle
    chosen = torch.randint(library().n_materials, (n,), generator=torch.Generator().manual_seed(2))
    batch, streams = select(library(), chosen), Streams.of(3, torch.arange(n))
    found, level = Calibration(Reliability(), Reliability()), streams.uniform(0, Draw.LEVEL)
    if objective == "jump":
        add_jump(found, network, batch, level, streams)
    else:
        add_diffusion(found, network, DIFFUSION, batch, level, streams)
    return found


def worst(of: Reliability) -> float:
    return max(abs(one.z) for one in of.bins())


@pytest.mark.parametrize("objective", ["jump", "d3pm"])
def test_the_exact_denoiser_is_calibrated_in_positions_and_elements(objective: str):
    found = asked(objective)
    assert worst(found.site) < ALARM
    assert worst(found.element) < ALARM
    assert len(found.site.bins()) > 4


@pytest.mark.parametrize("objective", ["jump", "d3pm"])
def test_a_distorted_denoiser_is_found_out(objective: str):
    """The negative control."""
    found, exact = asked(objective, distorted=True), asked(objective)
    assert worst(found.site) > ALARM
    assert worst(found.element) > ALARM
    assert found.element.expected_error() > 3 * exact.element.expected_error()


def test_bins_count_what_they_were_given_and_leave_the_impossible_out():
    of = Reliability()
    of.add(torch.tensor([0.0, 0.25, 0.29, 1.0]), torch.tensor([0, 1, 0, 1]))
    low, high = of.bins()
    assert (low.n, low.low, low.high, low.observed) == (2, 0.2, 0.3, 0.5)
    assert low.predicted == pytest.approx(0.27)
    assert (high.n, high.observed, high.high) == (1, 1, 1)
    assert 0 < low.observed_low < 0.5 < low.observed_high < 1


def test_the_command_writes_a_picture_or_the_numbers_of_it(tmp_path):
    labels = tmp_path / "labels.txt"
    labels.write_text("AB_cF8_225_a_b:Cl-Na\nAB3C_cP5_221_a_c_b:Ca-O-Ti\n" * 4)
    numbers, picture = tmp_path / "c.json", tmp_path / "c.html"
    for file in (numbers, picture):
        done = CliRunner().invoke(app, [str(labels), "--calibration", str(file), "--threads", "1"])
        assert done.exit_code == 0, done.output
    content = json.loads(numbers.read_text())
    assert content["materials"] == 8
    assert sum(one["n"] for one in content["element"]["bins"]) > 100
    assert done.stdout.splitlines()[0].startswith("site\t")
    assert picture.read_text() == render_calibration(content)
    refused = CliRunner().invoke(app, [str(labels), "--calibration", str(tmp_path / "c.png")])
    assert refused.exit_code == 1
    assert ".html or .json" in refused.stderr
