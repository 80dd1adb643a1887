"""optax's name for hyperparameters that live in the state."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import optax

from gradtx._core.contract.errors import describe, message
from gradtx._core.contract.transform import Info, Transform
from gradtx._core.contract.writing import shown
from gradtx._core.engine.members import check_member
from gradtx._core.engine.tuning import Tuning, parted, ranges_by_name


def inject_hyperparams(
    inner_factory: Callable[..., optax.GradientTransformation],
    static_args: Any = (),
    hyperparam_dtype: Any = None,
) -> Callable[..., Transform]:
    """Return a factory whose transforms keep their hyperparameters in the state: `tunable` under optax's name.

    `inject_hyperparams(adamw)(learning_rate=0.1)` keeps every number of adamw in `state.hyperparams`, those that it has
    by default too. A value may be read there, or replaced: `state.hyperparams["learning_rate"] = 0.01`. A schedule is
    called with the count of updates; the state shows what it gave for the last one. Under jit a Python number put there
    compiles the step once more, as in optax; an array of the same dtype and `set_hyperparams` compile nothing.

    Units: those of the transform.
    Differs from: optax's, whose values take the dtype of the params, in which 0.999 is 1; here they are float32 or
    wider. What must be known when a transform is made stays as it is without being listed in static_args.

    Args:
        inner_factory: gradtx's function that makes a transform, optax's, or one of your own.
        static_args: the names, or the name, of arguments that stay as they are.
        hyperparam_dtype: dtype of the values; None is float32, float64 where that is enabled.

    Returns:
        A function of the same arguments that makes the transform.

    Raises:
        TypeError: inner_factory is no function, or returns no transform.
        ValueError: static_args name an argument that it does not have.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx, p = gradtx.inject_hyperparams(gradtx.sgd)(learning_rate=0.5), jnp.array(1.0)
        >>> state = tx.init(p)
        >>> state.hyperparams["learning_rate"] = jnp.array(0.25)
        >>> tx.update(jnp.array(1.0), state, p)[0].item()
        -0.25
    """
    name = "inject_hyperparams"
    if not callable(inner_factory) or isinstance(inner_factory, optax.GradientTransformation):
        got, fix = f"is {describe(inner_factory)}", "give the function itself: inject_hyperparams(gradtx.adam)"
        raise TypeError(message(name, "inner_factory", got, "a function that makes a transform", fix))
    signature, ranges = inspect.signature(inner_factory), ranges_by_name(inner_factory)
    fixed = {static_args} if isinstance(static_args, str) else set(static_args)
    unknown = sorted(fixed - set(signature.parameters))
    if unknown:
        fix = f"choose from {list(signature.parameters)}"
        raise ValueError(message(name, "static_args", f"has {unknown}", "arguments of the factory", fix))

    @functools.wraps(inner_factory)
    def make(*args: Any, **kwargs: Any) -> Transform:
        tx = inner_factory(*args, **kwargs)  # its own checks of arguments and ranges
        check_member(name, "what the factory returned", tx)
        call, tuned = parted(inner_factory, arguments_of(signature, args, kwargs), ranges, fixed)
        if is_open(signature):  # what is given by place alone, as the members of a chain, is no hyperparameter
            call, tuned = functools.partial(inner_factory, *args, **kwargs), {}
        body = Tuning(call, tuned, ranges, hyperparam_dtype, shows_next=False, name=name)
        given = {**dict(zip(signature.parameters, args, strict=False)), **kwargs}
        return Transform.of(body, Info({"inner_factory": inner_factory, **given}, f"{name}({shown(tx)})"))

    return make


def is_open(signature: inspect.Signature) -> bool:
    """Return True if a function takes any number of arguments by place."""
    return any(p.kind is p.VAR_POSITIONAL for p in signature.parameters.values())


def arguments_of(signature: inspect.Signature, args: Any, kwargs: Any) -> dict[str, Any]:
    """Return all arguments of a call by name, those that it has by default too."""
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    found: dict[str, Any] = {}
    for key, value in bound.arguments.items():
        kind = signature.parameters[key].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            found |= value
        elif kind is not inspect.Parameter.VAR_POSITIONAL:
            found[key] = value
    return found


inject_stateful_hyperparams = inject_hyperparams
