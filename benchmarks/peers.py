"""PyTorch's optimizers as contestants, where torch is installed; it is no dependency of this project."""

import importlib.util
import os
from collections.abc import Callable
from typing import Any

import numpy as np
from cases import Case, Size


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def torch_or_none() -> Any:
    """Import torch on the same cores as XLA, or return None."""
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    torch.set_num_threads(cores())
    return torch


def torch_steps(case: Case, size: Size) -> dict[str, Callable[[], None]]:
    """Return PyTorch's fused and foreach steps on preset gradients; fused exists for few methods on CPU."""
    torch = torch_or_none()
    if torch is None or case.torch is None:
        return {}
    name, arguments = case.torch
    dtype = torch.bfloat16 if size.dtype == np.dtype("bfloat16") else torch.float32
    steps = {}
    for kind in ("fused", "foreach"):
        rng = np.random.default_rng(0)
        params = []
        for x in size.like().values():
            p, g = (torch.from_numpy(rng.standard_normal(x.shape, np.float32)).to(dtype) for _ in range(2))
            p.requires_grad_(True)
            p.grad = g
            params.append(p)
        try:
            steps[f"torch {kind}"] = getattr(torch.optim, name)(params, lr=1e-3, **arguments, **{kind: True}).step
        except (TypeError, RuntimeError):  # this method has no such form
            continue
    return steps
