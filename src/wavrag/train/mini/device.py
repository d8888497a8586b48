"""Where training computes: a GPU if there is one, else the CPU; bfloat16 on both."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch


def best_device() -> torch.device:
    """The first GPU, or the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def half(device: torch.device) -> AbstractContextManager[None]:
    """Matrix products in bfloat16, the rest in float32."""
    return torch.autocast(device.type, torch.bfloat16)
