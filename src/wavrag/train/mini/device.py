"""Device and precision of training: a GPU in bfloat16 if there is one, or the CPU in float32."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch


def best_device() -> torch.device:
    """Return the first GPU, or the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def half(device: torch.device) -> AbstractContextManager[None]:
    """Run matrix products on a GPU in bfloat16, and all else in float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")
