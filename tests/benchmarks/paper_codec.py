"""The paper's own preprocessing and post-processing, measured: `bench_codec.py` runs this in a process of its own.

usage: paper_codec.py CHECKOUT < labels      needs torch_geometric, aviary, pymatgen and pyxtal

Writes one JSON object: labels a CPU second in each direction, start-up left out, and the labels that come back.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import time
import types
import warnings
from pathlib import Path


def provide_moved_functions() -> None:
    """What the code imports of aviary is in pymatgen since aviary 1.2; the functions are the same."""
    from pymatgen.analysis import prototypes

    systems = "triclinic monoclinic orthorhombic tetragonal trigonal hexagonal rhombohedral cubic".split()
    names = "canonicalize_element_wyckoffs get_prototype_formula_from_composition get_prototype_from_protostructure"
    module = types.ModuleType("aviary.wren.utils")
    module.cry_sys_dict = dict(zip(systems, "amothhhc", strict=True))
    for name in names.split():
        setattr(module, name, getattr(prototypes, name))
    sys.modules[module.__name__] = module


def measure(labels: list[str]) -> dict[str, object]:
    import pandas as pd
    import torch
    from torch_geometric.data import Data
    from wyckoff_generation.datasets import data_utils, dataset

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "labels.csv"
        pd.DataFrame({"wyckoff_spglib": labels, "e_form_per_atom_wbm": 0.0}).to_csv(table)
        start = time.process_time()
        rows = dataset.preprocess(str(table))
        graphs = [dataset.WyckoffDataset.wyckoff_data_to_graph(None, row) for _, row in rows.iterrows()]
        encoded = time.process_time() - start
    # As their model samples them: one setting each.
    sampled = [
        Data(x=torch.chunk(graph.x, len(graph.wyckoff_set), 0)[0], space_group=graph.space_group) for graph in graphs
    ]
    start = time.process_time()
    back = [data_utils.build_protostructure(data) for data in sampled]
    decoded = time.process_time() - start
    return {"encode": len(labels) / encoded, "decode": len(labels) / decoded, "labels": back}


def main() -> None:
    sys.path.insert(0, sys.argv[1])
    warnings.simplefilter("ignore")
    labels = sys.stdin.read().split()
    with contextlib.redirect_stdout(sys.stderr):  # they print as they go
        provide_moved_functions()
        found = measure(labels)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
