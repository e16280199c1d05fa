"""Conditions that hold in every sample: masks, importance weights, and particles that are resampled by them.

`Request` says what is wanted and refuses what cannot be; `sample_request` draws from the model's own law inside the
condition. Masking alone would not: it forgets how much probability each masked choice threw away.
"""

from .opening import opening
from .particles import Conditioned, Filter, NoneMet, sample_request
from .request import Laws, Request

__all__ = ["Conditioned", "Filter", "Laws", "NoneMet", "Request", "opening", "sample_request"]
