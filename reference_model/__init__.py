"""WyckoffGNN and D3PM, trained, sampled and judged (PyTorch)."""
