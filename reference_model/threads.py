"""How many CPU threads a command takes where it is not told: as many as there are idle cores.

Threads that share a core with other work stall each other at every barrier: with both of two cores busy, 1,000 samples
took 26 times as long on two threads as on one.
"""

from __future__ import annotations

import os


def idle_cores() -> int:
    """Cores this process may use, less the load of the last minute; at least one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        load = os.getloadavg()[0]
    except OSError:
        load = 0.0
    return max(1, min(cores, round(cores - load)))


def set_threads(asked: int | None) -> None:
    """Give PyTorch the threads asked for, by default the idle cores; OMP_NUM_THREADS counts as asking.

    Waiting threads sleep and leave their core to others, if PyTorch is not loaded yet; and of the products that oneDNN
    compiles, one for each shape, few are kept: no two batches of a sampler have equal shapes (0.1 GB).
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    import torch

    if asked is not None:
        torch.set_num_threads(asked)
    elif "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(idle_cores())
