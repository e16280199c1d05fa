"""One thread: tests run beside each other, and small tensors gain nothing from two."""

import torch

torch.set_num_threads(1)
