"""Samples a CPU minute and peak memory of each sampler, and, where WYCKOFFDIFF names a checkout, of the authors'.

    python tests/benchmarks/bench_sampler.py [--batch 1024]

One thread, every measurement in a process of its own. The shipped model samples with J and H; FH and ancestral run on
networks of the `released` and `compact` configurations whose answers are set to expect as many tokens as WBM has (their
cost does not depend on training, their number of calls does). The authors' time, which needs torch_geometric, is that
of one of their reverse steps (network and backward step, batch 64) times the 999 that they take.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import Tensor

from reference_model.batch import Batch
from reference_model.config import ModelConfig
from reference_model.diffusion import Diffusion, TokenLogits
from reference_model.network import build_network
from reference_model.sampler import first_hitting, jump, reverse_step
from reference_model.streams import Streams

VARIANTS = (
    "authors",
    "jump",
    "jump bfloat16",
    "count head",
    "first hitting, compact",
    "first hitting, released",
    "ancestral, released",
)
ASKED = {"jump": 5000, "jump bfloat16": 5000, "first hitting, compact": 1000, "first hitting, released": 100}
TOKENS = 4.4
COMMON = torch.tensor([225, 63, 194, 189, 139, 12, 166, 123, 129, 164, 62, 221, 216, 2, 14])


def start(n: int) -> Batch:
    """Empty materials of groups common in WBM, groups with as many positions side by side."""
    drawn = COMMON[torch.randint(len(COMMON), (n,), generator=torch.Generator().manual_seed(0))]
    return Batch.empty(drawn.sort().values)


class Calibrated:
    """A network whose logits expect 4.4 · u tokens a material, as one trained with the zeros prior does."""

    def __init__(self, network: torch.nn.Module, diffusion: Diffusion) -> None:
        self.network, self.diffusion, self.calls = network, diffusion, 0

    def occupancy(self, batch: Batch, t: Tensor) -> TokenLogits:
        self.calls += 1
        answer = self.network.occupancy(batch, t)  # type: ignore[operator]
        n_slots = len(batch.constrained) + batch.unconstrained.numel()
        level = (self.diffusion.schedule.u(t) * TOKENS * batch.n_materials / n_slots).log().float()
        constrained = answer.constrained.log_softmax(-1) + level[batch.constrained_material, None]
        unconstrained = level[batch.unconstrained_material, None].expand_as(answer.unconstrained)
        return TokenLogits(constrained, unconstrained, answer.count)


def measure(variant: str, n: int) -> dict[str, float]:
    torch.set_num_threads(1)
    calls = 0.0
    if variant == "authors":
        seconds = authors_step(min(n, 64)) * 999 / min(n, 64)
        calls = 999
    elif "," in variant:
        torch.manual_seed(0)
        diffusion = Diffusion.of("zeros", 100, 54)
        network = Calibrated(
            build_network(ModelConfig.named(variant.split(", ")[1], prior="zeros", objective="d3pm")).eval(), diffusion
        )
        batch, streams = start(n), Streams.of(0, torch.arange(n))
        begun = time.process_time()
        if variant.startswith("first"):
            first_hitting(network, batch, diffusion, streams, stop=1e-2)
            seconds, calls = (time.process_time() - begun) / n, network.calls
        else:
            t = torch.full((n,), 500)
            with torch.no_grad():
                reverse_step(network.occupancy(batch, t), batch, diffusion, streams, t - 1, t, 1)
            seconds, calls = (time.process_time() - begun) * 1000 / n, 1000
    else:
        seconds, calls = shipped(variant, n)
    return {
        "seconds": seconds,
        "calls": calls,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10,
    }


def shipped(variant: str, n: int) -> tuple[float, float]:
    """Seconds a sample of the shipped model, through the sampler alone, and its calls."""
    from reference_model.model import load_model
    from reference_model.sampler import count_head

    model = load_model()
    batch, streams = start(n), Streams.of(0, torch.arange(n))
    law = torch.from_numpy(model.token_law)[batch.space_group]
    n_tokens = torch.multinomial(law, 1, generator=torch.Generator().manual_seed(0)).squeeze(1)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled="bfloat16" in variant):
        begun = time.process_time()
        if variant == "count head":
            count_head(model.network, batch, None, streams)
        else:
            jump(model.network, batch, None, streams, n_tokens=n_tokens)
    return (time.process_time() - begun) / n, float(n_tokens.double().mean()) + (variant == "count head")


def authors_step(n: int) -> float:
    """CPU seconds of one reverse step of theirs: network, and both backward steps of the zeros prior."""
    from bench_network import authors_config, authors_data
    from bench_process import theirs

    d3pm = theirs(os.environ["WYCKOFFDIFF"])
    from wyckoff_generation.models import gnn

    network = gnn.WyckoffGNN(authors_config()).eval()
    kinds = [d3pm.ZerosInitD3PMTransition(1000, K, "cpu", torch.ones(1, K) / K) for K in (101, 55)]  # type: ignore[attr-defined]
    batch = start(n)
    data = authors_data(batch)
    t = torch.full((n,), 500)
    with torch.inference_mode():
        begun = time.process_time()
        c, u = network(data, t)
        kinds[0].backward_step(batch.constrained, t[batch.constrained_material], c.softmax(-1))
        kinds[1].backward_step(batch.unconstrained, t[batch.unconstrained_material], u.softmax(-1))
        return time.process_time() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--variant", choices=VARIANTS, help="measure this one alone and write JSON")
    arguments = parser.parse_args()
    if arguments.variant:
        sys.stdout.write(json.dumps(measure(arguments.variant, arguments.batch)))
        return
    checkout = os.environ.get("WYCKOFFDIFF")
    paths = [str(Path(__file__).parents[2]), *([checkout] if checkout else []), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}
    authors = None
    print(f"{'':26}{'a CPU minute':>14}{'calls':>8}{'peak MB':>9}{'faster':>9}{'asked':>7}   batch {arguments.batch}")
    for variant in VARIANTS if checkout else VARIANTS[1:]:
        size = min(arguments.batch, 128) if variant == "ancestral, released" else arguments.batch
        command = [sys.executable, __file__, "--variant", variant, "--batch", str(size)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{variant:26}{done.stderr.strip().splitlines()[-1]}")
            continue
        r = json.loads(done.stdout)
        authors = r["seconds"] if variant == "authors" else authors
        line = f"{variant:26}{60 / r['seconds']:14,.1f}{r['calls']:8.1f}{r['peak_mb']:9.0f}"
        line += f"{authors / r['seconds']:9,.0f}{ASKED.get(variant, ''):>7}" if authors else ""
        print(line)


if __name__ == "__main__":
    main()
