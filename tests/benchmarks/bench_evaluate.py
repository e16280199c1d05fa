"""Evaluation: featurising and embedding beside aviary's own code, the Fréchet step, and 10,000 samples end to end.

`python tests/benchmarks/bench_evaluate.py [LABELS]`; CPU seconds of one thread, peers in the same run.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from reference_model.evaluate.against import read_against
from reference_model.evaluate.measure import evaluate
from reference_model.evaluate.samples import read_samples
from reference_model.extractor.sites import Featuriser
from reference_model.extractor.weights import read_extractor
from reference_model.extractor.wrenformer import WrenformerConfig
from reference_model.fwd import frechet_distance, moments
from wyckoffkit import parse_label
from wyckoffkit.canonical import position_permutations
from wyckoffkit.encoding import to_columns

FIXTURE = Path(__file__).parent.parent / "model" / "fixtures" / "wbm_held_out.txt"
PEER_LABELS = 400


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def said(what: str, ours: float, theirs: float, unit: str) -> None:
    """One line: both, and the ratio."""
    print(f"{what:<34} {ours:>12,.0f} {unit:<12} peer {theirs:>10,.0f}   ratio {ours / theirs:.1f}")


def main() -> None:
    """Print the figures."""
    torch.set_num_threads(1)
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else FIXTURE
    labels = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    columns = to_columns(map(parse_label, labels))
    extractor = read_extractor()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from aviary.wrenformer.data import collate_batch, wyckoff_embedding_from_protostructure_label
        from aviary.wrenformer.model import Wrenformer
    few = labels[:PEER_LABELS]
    features: list[torch.Tensor] = []
    theirs = cpu(lambda: features.extend(map(wyckoff_embedding_from_protostructure_label, few)))
    Featuriser(position_permutations, extractor.position_class).rows(columns)  # tables of the groups are read once
    ours = cpu(lambda: Featuriser(position_permutations, extractor.position_class).rows(columns))
    said("featurise", len(labels) / ours, len(few) / theirs, "labels/s")

    config: WrenformerConfig = extractor.network.config  # type: ignore[assignment]
    params = {name: value for name, value in config.to_dict().items() if name != "norm_first"}
    peer = Wrenformer(**params, task_dict={"e": "regression"}, device="cpu").eval()
    peer.load_state_dict(extractor.network.state_dict())

    def forward() -> None:
        with torch.inference_mode():
            for at in range(0, len(few), 128):
                inputs, *_ = collate_batch(tuple(features[at : at + 128]), torch.zeros(len(few[at : at + 128])), few)
                peer(*inputs)

    theirs, ours = cpu(forward), cpu(lambda: extractor.embed(columns))
    said("embed (peer: without featurising)", len(labels) / ours, len(few) / theirs, "labels/s")

    generator = np.random.default_rng(0)
    a, b = (moments(generator.normal(size=(10_000, 128)), "d") for _ in range(2))
    from scipy.linalg import sqrtm

    theirs, ours = cpu(lambda: sqrtm(a.covariance @ b.covariance)), cpu(lambda: frechet_distance(a, b))
    said("Fréchet step, d = 128", 1 / ours, 1 / theirs, "a second")

    start = time.perf_counter()
    seconds = cpu(lambda: evaluate(read_samples(path), read_against(None, extractor=extractor), extractor=extractor))
    print(f"whole evaluation of {len(labels):,} labels: {seconds:.1f} CPU s, {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
