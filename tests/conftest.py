"""Hypothesis profiles: `ci` by default, `thorough` with HYPOTHESIS_PROFILE=thorough.

`thorough` tries 100,000 examples a law, or as many as HYPOTHESIS_EXAMPLES says.
"""

from __future__ import annotations

import os

# Threads of BLAS are no help with 3 x 3 matrices, and a hindrance where test processes fill the machine. Read when
# numpy is first imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import HealthCheck, settings

settings.register_profile("ci", max_examples=200, deadline=None, derandomize=True)
settings.register_profile(
    "thorough",
    max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", "100000")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
