"""Quality against network calls: the samplers on two models of one budget, by FWD, uniqueness and number of tokens.

    python tests/benchmarks/bench_quality.py D3PM_RUN JUMP_RUN [-n 1000] [--ancestral 300] [-o rows.jsonl]

D3PM_RUN has the zeros prior, JUMP_RUN the jump objective, both trained on the shipped reference's training split. FWD
is against that split by the shipped extractor, corrected for bias; TV is half the sum of |share - p̂(n)| over numbers of
tokens, the floor what n independent draws of p̂(n) have on average.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reference_model.evaluate.against import read_against
from reference_model.extractor.weights import read_extractor
from reference_model.fwd import frechet
from reference_model.model import Model, load_model
from reference_model.sample.draw import iterate
from wyckoffkit.encoding import to_columns


class Counted:
    """A network that counts its calls."""

    def __init__(self, network: Any) -> None:
        self.network, self.materials = network, 0

    def __getattr__(self, name: str) -> Any:
        asked = getattr(self.network, name)

        def call(batch: Any, *rest: Any) -> Any:
            self.materials += batch.n_materials
            return asked(batch, *rest)

        return call


def rows(d3pm: Model, jump: Model, n: int, n_ancestral: int) -> Iterator[tuple[str, Model, dict[str, Any], int]]:
    yield "first hitting", d3pm, {"sampler": "first-hitting"}, n
    for steps in (10, 20, 50):
        yield f"strided, {steps}", d3pm, {"sampler": "strided", "n_steps": steps}, n
    yield "jump", jump, {"sampler": "jump"}, n
    yield "count head", jump, {"sampler": "count-head"}, n
    for steps in (100, 200):
        yield f"strided, {steps}", d3pm, {"sampler": "strided", "n_steps": steps}, n
    yield "ancestral", d3pm, {"sampler": "ancestral"}, n_ancestral


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("d3pm", type=Path, nargs="?")
    parser.add_argument("jump", type=Path, nargs="?")
    parser.add_argument("-n", type=int, default=1000)
    parser.add_argument("--ancestral", type=int, default=300)
    parser.add_argument("-o", type=Path, help="Append rows as JSON lines; rows that are there are not measured again.")
    arguments = parser.parse_args()
    if arguments.jump is None:
        print("skipped: give it a d3pm and a jump model (see --help)")
        return
    torch.set_num_threads(1)
    done = set()
    if arguments.o and arguments.o.exists():
        done = {json.loads(line)["sampler"] for line in arguments.o.read_text().splitlines()}
    extractor = read_extractor()
    facts = read_against(None, extractor=extractor).facts
    assert facts is not None
    assert facts.embedding is not None
    d3pm, jump = load_model(arguments.d3pm), load_model(arguments.jump)
    law = d3pm.reference.token_count.sum(0) / d3pm.reference.token_count.sum()
    for name, model, options, n in rows(d3pm, jump, arguments.n, arguments.ancestral):
        if name in done:
            continue
        network = Counted(model.network)
        begun = time.process_time()
        samples = list(iterate(replace(model, network=network), n, **options))
        seconds = time.process_time() - begun
        columns = to_columns([s.protostructure for s in samples])
        seen = extractor.embed(columns)
        found = frechet(
            seen.embedding[seen.is_known],
            facts.embedding.moments,
            extractor.digest,
            np.random.default_rng(0),
            n_resamples=30,
        )
        row = {
            "sampler": name,
            "n": n,
            "calls": network.materials / n,
            "cpu_ms_a_sample": 1000 * seconds / n,
            "fwd": [found.corrected.value, found.corrected.low, found.corrected.high],
            "unique": len({s.label for s in samples}) / n,
            "novel_prototype": float(np.mean([s.novel_prototype for s in samples])),
            "tv": distance(np.diff(columns.offset), law),
            "tv_floor": float(np.mean([distance(draw(law, n, seed), law) for seed in range(20)])),
        }
        sys.stdout.write(json.dumps(row) + "\n")
        sys.stdout.flush()
        if arguments.o:
            with open(arguments.o, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


def draw(law: np.ndarray, n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).choice(len(law), size=n, p=law)


def distance(n_tokens: np.ndarray, law: np.ndarray) -> float:
    share = np.bincount(n_tokens, minlength=len(law)) / len(n_tokens)
    return float(np.abs(share - np.pad(law, (0, len(share) - len(law)))).sum() / 2)


if __name__ == "__main__":
    main()
