"""`python -m reference_model`: which programs there are."""

from __future__ import annotations

import sys

PROGRAMS = """\
usage: python -m reference_model.PROGRAM [OPTIONS]

  sample     draw new protostructures, by default from the shipped model
  evaluate   measure generated protostructures
  score      bits a material of labels
  train      train a model on a dataset
  reweight   fit weights for novelty to a trained model
  export     write weights, reference pack and card of a trained model

each with --help; as in: python -m reference_model.sample -n 20 --chemical-system Li-Mn-O
"""

if __name__ == "__main__":
    asked = {"-h", "--help"} & set(sys.argv[1:])
    (sys.stdout if asked else sys.stderr).write(PROGRAMS)
    raise SystemExit(0 if asked else 2)
