"""Conditions that hold in every sample: masks, importance weights, and particles that are resampled by them.

`Request` says what is wanted and refuses what cannot be; `sample_request` draws from the model's own law inside the
condition. Masking alone would not: it forgets how much probability each masked choice threw away.
"""

from .particles import Conditioned, Laws, sample_request
from .request import Request

__all__ = ["Conditioned", "Laws", "Request", "sample_request"]
