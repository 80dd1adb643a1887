"""What to tell XLA where training runs on a CPU."""

import os
import warnings

from gradtx._core.arrays.compat import jax_has_started
from gradtx._core.contract.errors import describe, message

OPTIONS = "--xla_backend_extra_options="
FUSION = "xla_cpu_use_multi_output_fusion"


def cpu_flags(flags: str | None = None) -> str:
    """Return what to put into the environment variable XLA_FLAGS so that a step on a CPU moves each byte once.

    By default XLA:CPU writes one array per loop: a step of Adam reads the gradient and the moments once for each array
    that it writes. With the option `xla_cpu_use_multi_output_fusion` parameter and slots are written in one loop.
    Numbers may differ in the last bit; other backends do not read it. XLA reads its flags once, when jax first
    computes something: put them there before, as in

        os.environ["XLA_FLAGS"] = gradtx.cpu_flags()

    or start the program by `python -m gradtx run train.py`. Nothing is set by importing gradtx.

    Args:
        flags: flags to add to; None takes those of XLA_FLAGS now.

    Returns:
        The flags and the option, which is not added twice; other options for the backend are kept.

    Raises:
        TypeError: flags is no text.

    Warns:
        RuntimeWarning: jax has started, and does not read XLA_FLAGS again in this process.

    Examples:
        >>> import gradtx
        >>> gradtx.cpu_flags("--xla_force_host_platform_device_count=8")
        '--xla_force_host_platform_device_count=8 --xla_backend_extra_options=xla_cpu_use_multi_output_fusion'
    """
    if flags is None:
        if jax_has_started():
            text = "cpu_flags: jax has started and reads XLA_FLAGS no more; call it before anything is computed"
            warnings.warn(text, RuntimeWarning, stacklevel=2)
        flags = os.environ.get("XLA_FLAGS", "")
    if not isinstance(flags, str):
        fix = "give the flags as in XLA_FLAGS, with spaces between them"
        raise TypeError(message("cpu_flags", "flags", f"is {describe(flags)}", "text", fix))
    words = flags.split()
    given = [word for word in words if word.startswith(OPTIONS)]
    options = [name for word in given for name in word.removeprefix(OPTIONS).split(",") if name]
    if not any(name.partition("=")[0] == FUSION for name in options):
        options.append(FUSION)
    return " ".join([*(word for word in words if word not in given), OPTIONS + ",".join(options)])
