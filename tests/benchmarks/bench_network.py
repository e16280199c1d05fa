"""One training step of each network beside the authors' code: CPU seconds, peak memory, distance from the floor.

    python tests/benchmarks/bench_network.py                   # ours; with WYCKOFFDIFF=checkout also theirs
    python tests/benchmarks/bench_network.py --batch 256 --repeats 5

Theirs needs torch_geometric. Every measurement runs in a process of its own with one thread, on the same materials (see
labels_of_wbm.py); a step is noising, forward, loss, backward, AdamW: D3PM with its cross-entropy, `compact` the jump
objective.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from labels_of_wbm import read_labels

from reference_model.batch import Batch, group_tables
from reference_model.config import ModelConfig
from reference_model.diffusion import Diffusion, cross_entropy, jump_loss, jump_targets
from reference_model.network import build_network
from wyckoffkit.encoding import to_columns
from wyckoffkit.label import parse_label

VARIANTS = (
    "authors",
    *(f"{name} {dtype}" for name in ("released", "paper", "compact") for dtype in ("float32", "bfloat16")),
)


def materials(size: int) -> Batch:
    """`size` random materials of WBM, always the same."""
    labels = read_labels()
    chosen = np.random.default_rng(0).permutation(len(labels))[:size]
    return Batch.from_columns(to_columns(parse_label(labels[i]) for i in chosen))


def measure(step: Callable[[], None], repeats: int) -> dict[str, float]:
    step()
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        step()
        seconds.append(time.process_time() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return {"seconds": float(np.median(seconds)), "peak_mb": peak}


def our_step(name: str, dtype: str, batch: Batch) -> Callable[[], None]:
    torch.manual_seed(0)
    config = ModelConfig.named(name)
    network = build_network(config)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-4, weight_decay=0.0, fused=True)
    generator = torch.Generator().manual_seed(0)
    diffusion = Diffusion.of(config.prior, config.n_elements, config.max_count, config.T)

    def d3pm_loss() -> torch.Tensor:
        t = diffusion.draw_t(batch.n_materials, generator)
        x_t = diffusion.noise(batch, t, generator)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == "bfloat16"):
            logits = network(x_t, t)
        return cross_entropy(logits, batch)

    def token_loss() -> torch.Tensor:
        targets = jump_targets(batch, generator)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == "bfloat16"):
            tokens = network.next_token(targets.batch, targets.n_left)
            return jump_loss(tokens, targets)

    def step() -> None:
        loss = token_loss() if config.objective == "jump" else d3pm_loss()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def authors_step(batch: Batch) -> Callable[[], None]:
    from wyckoff_generation.models import gnn
    from wyckoff_generation.models.d3pm.d3pm import D3PM, UniformD3PMTransition

    config = authors_config()
    torch.manual_seed(0)
    # Their constructor only adds a look-up of their data set's statistics, which needs the set's files.
    model = D3PM.__new__(D3PM)
    torch.nn.Module.__init__(model)
    model.device, model.t_max, model.num_elements, model.max_num_atoms = "cpu", 1000, 100, 54
    model.transition_model_zero = UniformD3PMTransition(1000, 101, "cpu", None)
    model.transition_model_inf = UniformD3PMTransition(1000, 55, "cpu", None)
    model.model, model.verbose_losses = gnn.WyckoffGNN(config), False
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-4, weight_decay=0.0)
    data = authors_data(batch)

    def step() -> None:
        optimizer.zero_grad()
        x_t, t = model.get_noisy_data(data)
        zero, infinite, _ = model.ce_loss(*model(x_t, t), data, x_t, t)
        (zero + infinite).backward()
        optimizer.step()

    return step


def authors_config() -> dict[str, object]:
    return {
        "device": "cpu",
        "max_num_atoms": 54,
        "num_elements": 100,
        "hidden_dim": 256,
        "dof_pos_sg_emb_size": 16,
        "mlp_hidden_layers": 2,
        "mlp_activation": "SiLU",
        "gnn_activation": "SiLU",
        "no_softmax": False,
        "num_gnn_layers": 3,
        "binary_dof_encoding": False,
        "no_multiplicity_encoding": False,
        "t_max": 1000,
    }


def authors_data(batch: Batch) -> SimpleNamespace:
    """The fields of a torch_geometric batch that their network and loss read."""
    static = group_tables()
    mask = batch.position_mask
    rows = batch.position_row[mask]
    edges, first = [], 0
    for length in batch.lengths.tolist():
        i = torch.arange(length)
        edges.append(first + torch.stack([i.repeat_interleave(length), i.repeat(length)]))
        first += length
    fields = {
        "space_group": batch.space_group,
        "x_0_dof": batch.constrained,
        "x_inf_dof": batch.unconstrained,
        "zero_dof": static.is_constrained[rows],
        "degrees_of_freedom": static.dof[rows],
        "wyckoff_pos_idx": static.letter[rows],
        "multiplicities": static.multiplicity[rows],
        "num_pos": batch.lengths,
        "num_0_dof": static.n_constrained[batch.space_group],
        "num_inf_dof": static.n_unconstrained[batch.space_group],
        "batch": torch.arange(batch.n_materials).repeat_interleave(batch.lengths),
        "edge_index": torch.cat(edges, 1),
        "x": None,
    }
    data = SimpleNamespace(**fields)
    data.clone = lambda: SimpleNamespace(**fields)
    return data


def largest_difference(batch: Batch) -> float:
    """Between their network's logits and ours with their weights, float64."""
    from wyckoff_generation.models import gnn

    theirs = gnn.WyckoffGNN(authors_config()).double()
    ours = build_network(ModelConfig.named("released")).double()
    names = {
        "zero_dof_embedding": "element_embedding",
        "inf_dof_embedding": "count_embedding",
        "inf_dof_linear": "count_linear",
        "pos_embedding": "letter_embedding",
        "sg_embedding": "space_group_embedding",
        "zero_df_out_mlp": "constrained_head",
        "inf_df_out_mlp": "unconstrained_head",
        "a_mlp": "pair_mlp",
        "psi_mlp": "phi",
    }
    state = {".".join(names.get(part, part) for part in key.split(".")): v for key, v in theirs.state_dict().items()}
    ours.load_state_dict(state)
    t = torch.arange(1, batch.n_materials + 1)
    torch.set_default_dtype(torch.float64)  # their forward allocates in the default type
    with torch.no_grad():
        pairs = zip(theirs(authors_data(batch), t - 1), ours(batch, t), strict=True)
        return max(float((a - b).abs().max()) for a, b in pairs)


def floor_seconds(name: str, batch: Batch, gflops: float) -> float:
    """Seconds of a step's multiply-adds (three products a weight and row: forward and both gradients) at `gflops`."""
    config = ModelConfig.named(name)
    pairs, nodes = int((batch.lengths**2).sum()), int(batch.lengths.sum())
    if config.architecture == "compact":
        d, tokens = config.hidden_size, nodes + batch.n_materials
        layer = tokens * (4 + 2 * config.expansion) * d**2 + 2 * int(((batch.lengths + 1) ** 2).sum()) * d
        heads = nodes * d * (d + config.n_elements) + 3 * len(batch.unconstrained) * config.n_elements * d
        return 2 * 3 * (config.n_layers * layer + heads) / gflops / 1e9
    width, w_size = 2 * (config.hidden_size + config.embedding_size), config.hidden_size + config.embedding_size
    hidden, d = config.mlp_hidden_layers, config.hidden_size
    pair = pairs * (hidden - 1) * width**2
    node = nodes * (2 * w_size * width + w_size * width + (hidden - 1) * width**2 + width * d)
    mlp = d * 2 * d + (hidden - 1) * 4 * d**2
    heads = len(batch.constrained) * (mlp + 2 * d * 101) + len(batch.unconstrained) * (mlp + 2 * d * 5500)
    return 2 * 3 * (config.n_layers * (pair + node) + heads) / gflops / 1e9


def matrix_throughput(dtype: torch.dtype) -> float:
    """GFLOP/s of the library that the network uses, on a 4096 × 544 × 544 product, one thread."""
    from reference_model.network.linear import product

    x, w = torch.randn(4096, 544).to(dtype), torch.randn(544, 544).to(dtype)
    seconds = measure(lambda: [product(x, w) for _ in range(20)] and None, 5)["seconds"] / 20
    return 2 * 4096 * 544 * 544 / seconds / 1e9


def worker(variant: str, size: int, repeats: int) -> dict[str, float]:
    torch.set_num_threads(1)
    batch = materials(size)
    if variant == "authors":
        result = measure(authors_step(batch), repeats)
        return {**result, "difference": largest_difference(batch)}
    name, dtype = variant.split()
    result = measure(our_step(name, dtype, batch), repeats)
    gflops = matrix_throughput(getattr(torch, dtype))
    return {**result, "gflops": gflops, "floor": floor_seconds(name, batch, gflops)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--variant", choices=VARIANTS, help="measure this one alone and write JSON")
    arguments = parser.parse_args()
    if arguments.variant:
        sys.stdout.write(json.dumps(worker(arguments.variant, arguments.batch, arguments.repeats)))
        return

    checkout = os.environ.get("WYCKOFFDIFF")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if checkout:
        environment["PYTHONPATH"] = os.pathsep.join([checkout, str(Path(__file__).parents[2])])
    results = {}
    for variant in VARIANTS if checkout else VARIANTS[1:]:
        command = [sys.executable, __file__, "--variant", variant, "--batch", str(arguments.batch)]
        command += ["--repeats", str(arguments.repeats)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.stderr.write(f"{variant}: {done.stderr.strip().splitlines()[-1]}\n")
            continue
        results[variant] = json.loads(done.stdout)
    report(results, arguments.batch)


def report(results: dict[str, dict[str, float]], size: int) -> None:
    authors = results.get("authors")
    print(f"one training step, batch {size}, one thread")
    header = f"{'':20}{'CPU s':>9}{'samples/s':>11}{'peak MB':>9}{'floor s':>9}{'x floor':>9}{'faster':>8}{'memory':>8}"
    print(header)
    for variant, r in results.items():
        line = f"{variant:20}{r['seconds']:9.3f}{size / r['seconds']:11.0f}{r['peak_mb']:9.0f}"
        if "floor" in r:
            line += f"{r['floor']:9.3f}{r['seconds'] / r['floor']:9.2f}"
            if authors:
                line += f"{authors['seconds'] / r['seconds']:8.1f}{r['peak_mb'] / authors['peak_mb']:8.2f}"
        print(line)
    if authors:
        print(f"largest difference of logits, same weights, float64: {authors['difference']:.1e}")


if __name__ == "__main__":
    main()
