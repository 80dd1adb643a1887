"""The same methods in other libraries, where they are installed: those written for PyTorch, and Keras on jax.

None of them is a dependency of this project. A library that is not installed, or lacks a method, is left out.
"""

import importlib
import importlib.util
import os
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from cases import Size
from peers import torch_or_none

Contestants = dict[str, Callable[[], None]]
Method = tuple[str, Mapping[str, Any]]  # the name of its class there, and arguments beside the rate
DECAY = {"weight_decay": 1e-4}

# what the catalogue calls a method: what the library calls it, with the same work for each number
TORCH: dict[str, Method] = {
    "adadelta": ("Adadelta", {"lr": 1.0}),
    "adafactor": ("Adafactor", {}),
    "adagrad": ("Adagrad", {}),
    "adam": ("Adam", {}),
    "adamax": ("Adamax", {}),
    "adamaxw": ("Adamax", DECAY),
    "adamw": ("AdamW", DECAY),
    "amsgrad": ("Adam", {"amsgrad": True}),
    "muon": ("Muon", {}),
    "nadam": ("NAdam", {}),
    "nadamw": ("NAdam", {**DECAY, "decoupled_weight_decay": True}),
    "radam": ("RAdam", {}),
    "rmsprop": ("RMSprop", {}),
    "rprop": ("Rprop", {}),
    "sgd": ("SGD", {}),
}
PYTORCH_OPTIMIZER: dict[str, Method] = {
    "adabelief": ("AdaBelief", {}),
    "adan": ("Adan", {}),
    "ademamix": ("AdEMAMix", {}),
    "adopt": ("ADOPT", {}),
    "dadapt_adamw": ("DAdaptAdam", {}),
    "galore": ("GaLore", {}),
    "lamb": ("Lamb", {}),
    "lars": ("LARS", {}),
    "lion": ("Lion", {}),
    "madgrad": ("MADGRAD", {}),
    "mars": ("MARS", {}),
    "novograd": ("NovoGrad", {}),
    "prodigy": ("Prodigy", {}),
    "scion": ("SCION", {}),
    "shampoo": ("Shampoo", {}),
    "signum": ("SignSGD", {}),
    "simplified_ademamix": ("SimplifiedAdEMAMix", {}),
    "sm3": ("SM3", {}),
    "soap": ("SOAP", {}),
    "yogi": ("Yogi", {}),
    "schedule_free_adamw": ("ScheduleFreeAdamW", {}),
    "schedule_free_sgd": ("ScheduleFreeSGD", {}),
}
SCHEDULEFREE: dict[str, Method] = {
    "schedule_free_adamw": ("AdamWScheduleFree", DECAY),
    "schedule_free_sgd": ("SGDScheduleFree", {}),
}
HEAVYBALL: dict[str, Method] = {
    "adamw": ("AdamW", DECAY),
    "adopt": ("ADOPT", {}),
    "muon": ("Muon", {}),
    "nadamw": ("NAdam", {}),
    "rmsprop": ("RMSprop", {}),
    "schedule_free_adamw": ("SFAdamW", {}),
    "sgd": ("SGD", {}),
    "soap": ("SOAP", {}),
}
KERAS: dict[str, Method] = {
    "adadelta": ("Adadelta", {"learning_rate": 1.0}),
    "adafactor": ("Adafactor", {}),
    "adagrad": ("Adagrad", {}),
    "adam": ("Adam", {}),
    "adamax": ("Adamax", {}),
    "adamw": ("AdamW", DECAY),
    "lamb": ("Lamb", {}),
    "lion": ("Lion", DECAY),
    "nadam": ("Nadam", {}),
    "rmsprop": ("RMSprop", {}),
    "sgd": ("SGD", {}),
}


def torch_parameters(size: Size) -> list[Any]:
    """Return parameters of PyTorch with gradients, of this size."""
    torch, rng = torch_or_none(), np.random.default_rng(0)
    params = []
    for x in size.like().values():
        p, g = (torch.from_numpy(rng.standard_normal(x.shape, np.float32)) for _ in range(2))
        p.requires_grad_(True)
        p.grad = g
        params.append(p)
    return params


def torch_step(make: Callable[..., Any], size: Size, **arguments: Any) -> Callable[[], None]:
    """Return a step of an optimizer for PyTorch; one without a schedule is told that it trains."""
    params = torch_parameters(size)
    grads = [p.grad for p in params]
    optimizer = make(params, **{"lr": 1e-3, **arguments})
    getattr(optimizer, "train", lambda: None)()

    def step() -> None:
        for p, g in zip(params, grads, strict=True):
            p.grad = g  # some libraries take it away, and then make no step
        optimizer.step()

    return step


def own_steps(name: str, arguments: Mapping[str, Any], size: Size) -> Contestants:
    """Return PyTorch's own: fused and foreach, or plain where it has neither."""
    torch, found = torch_or_none(), {}
    for kind in ("fused", "foreach", ""):
        if kind == "" and found:
            break
        try:
            step = torch_step(getattr(torch.optim, name), size, **arguments, **({kind: True} if kind else {}))
        except (TypeError, RuntimeError, ValueError):  # this method has no such form
            continue
        found[f"torch {kind}".strip()] = step
    return found


def written_for_torch(library: str) -> Callable[[str, Mapping[str, Any], Size], Contestants]:
    """Return what makes the steps of a library of optimizers for PyTorch."""

    def steps(name: str, arguments: Mapping[str, Any], size: Size) -> Contestants:
        return {library: torch_step(getattr(importlib.import_module(library), name), size, **arguments)}

    return steps


def keras_steps(name: str, arguments: Mapping[str, Any], size: Size) -> Contestants:
    """Return Keras' own, on jax: its update without a state of its own, jitted and donated as ours is."""
    import keras

    optimizer = getattr(keras.optimizers, name)(**{"learning_rate": 1e-3, **arguments})
    params, grads = list(size.tree(0).values()), list(size.tree(1).values())
    optimizer.build([keras.Variable(p) for p in params])
    step = jax.jit(lambda values, own, gs: optimizer.stateless_apply(own, gs, values), donate_argnums=(0, 1))
    held = [params, [jax.numpy.array(x.value) for x in optimizer.variables]]

    def run() -> None:
        held[:] = step(*held, grads)
        jax.block_until_ready(held)

    return {"keras": run}


LIBRARIES: dict[str, tuple[dict[str, Method], Callable[[str, Mapping[str, Any], Size], Contestants]]] = {
    "torch": (TORCH, own_steps),
    "pytorch_optimizer": (PYTORCH_OPTIMIZER, written_for_torch("pytorch_optimizer")),
    "schedulefree": (SCHEDULEFREE, written_for_torch("schedulefree")),
    "heavyball": (HEAVYBALL, written_for_torch("heavyball")),
    "keras": (KERAS, keras_steps),
}


def missing() -> list[str]:
    """Return the libraries that are not installed."""
    return [name for name in LIBRARIES if importlib.util.find_spec(name) is None]


def contestants(method: str, size: Size) -> Contestants:
    """Return a step of a method in each library that is installed and has it; what does not run here is left out."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    found: Contestants = {}
    for library, (methods, steps) in LIBRARIES.items():
        if library in missing() or method not in methods:
            continue
        try:
            own = steps(*methods[method], size)
            for step in own.values():
                step()
        except Exception as error:  # whatever another library raises
            print(f"{library}: {method} is left out, {type(error).__name__}: {str(error)[:120]}")
            continue
        found |= own
    return found
