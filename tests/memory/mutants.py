"""Wrong lines in what puts stacks over devices, tries a transform and keeps a state on the host."""

from tests.registry.base import Mutant


def stacks(*names: str) -> tuple[str, ...]:
    """Return these tests of stacks of matrices over devices."""
    return tuple(f"memory/test_layers.py::test_{name}" for name in names)


def found(*cases: str) -> tuple[str, ...]:
    """Return the test of `check` on these broken transforms."""
    return tuple(
        f"memory/test_check.py::test_a_broken_contract_is_named_with_leaf_and_remedy[{case}]" for case in cases
    )


def trying(*names: str) -> tuple[str, ...]:
    """Return these tests of `check`."""
    return tuple(f"memory/test_check.py::test_{name}" for name in names)


def on_host(*names: str) -> tuple[str, ...]:
    """Return these tests of `offload`."""
    return tuple(f"memory/test_offload.py::test_{name}" for name in names)


MOVED = "two_all_to_alls_or_nothing_and_the_numbers_of_one_device"
LAYERS, SCION = "_core/arrays/layers.py", "methods/scion.py"
CHECK, CONTRACTS, FINDINGS, TRIAL = "memory/check.py", "memory/contracts.py", "memory/findings.py", "memory/trial.py"
OFFLOAD, FETCHING = "memory/offload.py", "_core/engine/fetching.py"
MUTANTS = [
    # stacks of matrices
    Mutant(
        "layers: left where they lie",
        LAYERS,
        "explicit else select_by(x, x), spec_of(x, names, axis), mesh)",
        "explicit else x, spec_of(x, names, axis), mesh) if False else x",
        stacks(MOVED),
    ),
    Mutant("layers: computed where they go", LAYERS, "x if explicit else select_by(x, x)", "x", stacks(MOVED)),
    Mutant("layers: the sum where the layers are", LAYERS, "x = x if explicit else apart(x)", "x = x", stacks(MOVED)),
    Mutant(
        "layers: filled up too far",
        LAYERS,
        "missing = -x.shape[axis] % parts_of(",
        "missing = parts_of(",
        stacks("layers_that_do_not_divide_are_filled_up"),
    ),
    Mutant(
        "layers: filled up in front",
        LAYERS,
        "[(0, missing if i == axis else 0, 0)",
        "[(missing if i == axis else 0, 0, 0)",
        stacks("layers_that_do_not_divide_are_filled_up"),
    ),
    Mutant(
        "layers: one axis of two",
        LAYERS,
        "return math.prod(sizes[name] for name in names)",
        "return sizes[names[0]]",
        stacks("state_in_layers_must_divide"),
    ),
    Mutant(
        "layers: any number divides",
        LAYERS,
        "if even and count % parts:",
        "if even and count < parts:",
        stacks("state_in_layers_must_divide"),
    ),
    Mutant(
        "layers: an axis twice",
        LAYERS,
        "if len(names) > len(set(names)):",
        "if len(names) > 2:",
        stacks("errors_name_transform_path_and_remedy"),
    ),
    Mutant(
        "layers: no stack is needed",
        LAYERS,
        "if single and not any(map(has_layers, known)):",
        "if False:",
        stacks("errors_name_transform_path_and_remedy"),
    ),
    Mutant(
        "layers: no mesh is needed",
        LAYERS,
        "if names and has_layers(axes) and all(mesh_of(x) is None for x in arrays):",
        "if False:",
        stacks("errors_name_transform_path_and_remedy"),
    ),
    Mutant(
        "layers: inside shard_map",
        LAYERS,
        'if kinds[name] == "Manual":',
        'if kinds[name] == "Hidden":',
        stacks("errors_name_transform_path_and_remedy"),
    ),
    Mutant(
        "scion: layers stay where they lie",
        SCION,
        "k.eps, preconditioning, split)",
        "k.eps, preconditioning)",
        stacks(MOVED),
    ),
    Mutant(
        "scion: layers without a mesh",
        SCION,
        '        check_mesh(split, k.layout, g, slots["mu"])\n',
        "",
        stacks("errors_name_transform_path_and_remedy"),
    ),
    # trying a transform
    Mutant(
        "check: arrays as shapes",
        CONTRACTS,
        '"for arrays", "for shapes", fix)',
        '"for arrays", "for shapes", fix)[:0]',
        found("sees_whether_it_is_traced"),
    ),
    Mutant(
        "check: a weak type is one's own",
        FINDINGS,
        'return bool(getattr(x, "weak_type", False))',
        "return False",
        found("counts_weakly"),
    ),
    Mutant(
        "check: any dtype",
        FINDINGS,
        "(x.shape, x.dtype, weak(x)) == (y.shape, y.dtype, weak(y))",
        "(x.shape, weak(x)) == (y.shape, weak(y))",
        found("drifts_in_dtype"),
    ),
    Mutant(
        "check: any shape", CONTRACTS, "if u.shape != p.shape:", "if len(u.shape) > len(p.shape):", found("sums_up")
    ),
    Mutant(
        "check: whole numbers are added",
        CONTRACTS,
        "if not jnp.issubdtype(u.dtype, jnp.inexact) or",
        "if",
        found("rounds_to_integers"),
    ),
    Mutant(
        "check: traced once",
        CONTRACTS,
        "if program(first) == program(second) and same_bits(first.consts, second.consts):",
        "if True:",
        found("counts_in_python"),
    ),
    Mutant(
        "check: addresses tell programs apart",
        CONTRACTS,
        're.sub(r"0x[0-9a-f]+", "", str(jaxpr))',
        "str(jaxpr)",
        trying("a_program_is_the_same_wherever_its_functions_lie"),
    ),
    Mutant(
        "check: the params are the state's",
        CONTRACTS,
        '(("params", start), ("state", kept))',
        '(("state", kept),)',
        found("keeps_the_params"),
    ),
    Mutant(
        "check: what init caught", CONTRACTS, "if id(x) in kept_outside:", "if False:", found("reads_the_first_params")
    ),
    Mutant(
        "check: shared arrays of shapes",
        CONTRACTS,
        "owners.setdefault(x, path) != path:  # a literal",
        "False:  # a literal",
        trying("arrays_that_are_shared_are_found_on_shapes_too"),
    ),
    Mutant(
        "check: gradients that are not 0",
        CONTRACTS,
        "trial.gradients(0))",
        "trial.gradients())",
        found("divides_by_its_norm"),
    ),
    Mutant(
        "check: the params in their own buffers",
        TRIAL,
        "jnp.array(x, copy=True), x.sharding)",
        "x, x.sharding)",
        trying("params_on_a_mesh_stay_there_and_are_not_changed"),
    ),
    Mutant(
        "check: params bound to a device",
        TRIAL,
        "if x.committed else",
        "if True else",
        trying("params_that_are_bound_to_no_device_are_computed_with_beside_a_state_on_a_mesh"),
    ),
    Mutant(
        "check: all of it after what failed",
        CHECK,
        'name != "abstract" and bool(broken)',
        "False",
        found("drifts_in_dtype", "counts_in_python"),
    ),
    Mutant(
        "check: not run is not said",
        CHECK,
        "not_run[name], found = found.reason, []",
        "found = []",
        trying("arrays_that_are_shared_are_found_on_shapes_too"),
    ),
    Mutant(
        "check: true where one is broken",
        CHECK,
        "return not any(self.failures.values())",
        "return not all(self.failures.values())",
        found("sums_up"),
    ),
    # a state on the host
    Mutant(
        "offload: scalars too",
        OFFLOAD,
        'if getattr(x, "ndim", 0):',
        "if True:",
        on_host("the_state_lies_on_the_host_and_no_bit_differs"),
    ),
    Mutant(
        "offload: the next state outside jit",
        OFFLOAD,
        "[to_host(x) if is_on_host(old) else x for",
        "[x for",
        on_host("outside_jit_and_in_a_scan"),
    ),
    Mutant(
        "offload: scalars lie anywhere",
        OFFLOAD,
        "return x if where is None or isinstance(x, jax.core.Tracer) else",
        "return x if True else",
        on_host("the_state_lies_on_the_host_and_no_bit_differs"),
    ),
    Mutant(
        "fetching: what was not read is lost",
        FETCHING,
        "waiting[var] if var in waiting else to_host(known[var])",
        "to_host(known[var])",
        on_host("what_an_update_does_not_read_stays_there"),
    ),
    Mutant(
        "check: what a step gathers",
        "memory/shardings.py",
        "any(had > wanted for had",
        "any(had < wanted for had",
        trying("what_is_not_written_for_explicit_axes_is_measured_in_a_step"),
    ),
]
