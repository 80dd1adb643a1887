"""Wrong lines in what takes a state along; `tests/mutants` runs them."""

from tests.registry.base import Mutant


def flat(name: str) -> tuple[str, ...]:
    """Return this test of the flat dict."""
    return (f"migration/test_flat.py::test_{name}",)


def optax(name: str) -> tuple[str, ...]:
    """Return this test of states of optax."""
    return (f"migration/test_optax.py::test_{name}",)


def torch(name: str) -> tuple[str, ...]:
    """Return this test of states of PyTorch, which needs no torch."""
    return (f"migration/test_torch.py::test_{name}",)


KEYS, FLAT, OPTAX = "migration/keys.py", "migration/flat.py", "migration/from_optax.py"
FRESH, TORCH = "migration/fresh.py", "migration/from_torch.py"
MUTANTS = [
    Mutant("keys: a second of one name", KEYS, "if times > 1", "if times > 2", flat("names")),
    Mutant(
        "keys: a chain has a name",
        KEYS,
        'UNNAMED = ("chain", ',
        'UNNAMED = ("row", ',
        flat("a_chain_that_changed_takes_its_state_along"),
    ),
    Mutant(
        "keys: a wrapper has a name",
        KEYS,
        "outer if around_one else prefix",
        "prefix",
        flat("a_wrapper_may_come_and_go"),
    ),
    Mutant(
        "keys: twice",
        KEYS,
        "if twice is not None",
        "if twice is None and not keys",
        flat("two_arrays_with_one_key_are_refused"),
    ),
    Mutant(
        "keys: any state fits",
        KEYS,
        "if has_parts or ",
        "if True or ",
        flat("the_state_of_another_transform_is_refused"),
    ),
    Mutant(
        "flat: what is lacking passes",
        FLAT,
        "if strict and (lacks or left)",
        "if strict and left",
        flat("a_change_that_is_not_allowed_raises"),
    ),
    Mutant(
        "flat: what is left passes",
        FLAT,
        "if strict and (lacks or left)",
        "if strict and lacks",
        flat("a_change_that_is_not_allowed_raises"),
    ),
    Mutant(
        "flat: a beginning of a word",
        FLAT,
        'start.rstrip("/") + "/"',
        'start.rstrip("/")',
        flat("a_change_that_is_not_allowed_raises"),
    ),
    Mutant(
        "flat: a count cut off",
        FLAT,
        "value = number if number == value else value",
        "value = number",
        flat("a_count_may_be_a_number_and_an_array_numpy"),
    ),
    Mutant(
        "flat: weak", FLAT, "if value.weak_type else value", "if False else value", flat("weak_types_do_not_come_in")
    ),
    Mutant(
        "flat: no copy",
        FLAT,
        "jnp.array(value), like.sharding",
        "value, like.sharding",
        flat("what_is_given_is_copied"),
    ),
    Mutant(
        "flat: on one device",
        FLAT,
        "jax.device_put(jnp.array(value), like.sharding)",
        "jnp.array(value)",
        flat("arrays_go_where_the_parameters_are"),
    ),
    Mutant(
        "optax: the square for the variance",
        OPTAX,
        "nu - jnp.real(mu * jnp.conj(mu))",
        "nu",
        optax("numbers_go_on[rmsprop centered]"),
    ),
    Mutant(
        "optax: the first of two again",
        OPTAX,
        "            free.remove(target)\n",
        "",
        optax("numbers_go_on[two of a kind]"),
    ),
    Mutant(
        "optax: no count",
        OPTAX,
        "flat |= fresh.counted(counts.pop() if counts else None)",
        "pass",
        optax("numbers_go_on[adam]"),
    ),
    Mutant(
        "optax: a sum that has begun",
        OPTAX,
        "return {} if begun else",
        "return",
        optax("a_sum_that_has_begun_is_named"),
    ),
    Mutant(
        "optax: norm and its square",
        OPTAX,
        "jax.tree.map(jnp.sqrt, state.nu)",
        "state.nu",
        optax("numbers_go_on[novograd]"),
    ),
    Mutant("optax: counts that differ", OPTAX, "if len(counts) > 1", "if len(counts) > 2", optax("counts")),
    Mutant(
        "fresh: narrower",
        FRESH,
        "if wider == like.dtype else value",
        "if True else value",
        torch("arrays_become_wider_and_not_narrower"),
    ),
    Mutant("fresh: a schedule at 0", FRESH, "            self.check_no_schedule()\n", "", optax("counts")),
    Mutant(
        "torch: the square for the variance",
        TORCH,
        'slots.pop("square_avg") - slots["grad_avg"] ** 2',
        'slots.pop("square_avg")',
        torch("a_centered_mean_becomes_the_variance"),
    ),
    Mutant("torch: not transposed", TORCH, "changed(value), name", "value, name", torch("a_recorded_dict")),
    Mutant("torch: moments swapped", TORCH, '"exp_avg": "mu"', '"exp_avg": "nu"', torch("a_recorded_dict")),
    Mutant("torch: the last step", TORCH, "if len(steps) > 1", "if len(steps) > 2", torch("one_step_for_all")),
]
