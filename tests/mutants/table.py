"""The wrong lines: file, right text, wrong text, and the tests of which one must fail."""

from typing import NamedTuple


class Mutant(NamedTuple):
    """One wrong line.

    Attributes:
        name: what goes wrong.
        file: file inside `gradtx`.
        old: the right text, which stands there exactly once.
        new: the wrong text.
        tests: test ids inside `tests`; at least one must fail.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def row(*names: str, dtype: str = "float64") -> tuple[str, ...]:
    """Return the reference tests of these rows."""
    return tuple(f"test_reference.py::test_row[{name}-{dtype}]" for name in names)


def scheduled(name: str) -> tuple[str, ...]:
    """Return the reference test of this optimizer under schedules."""
    return (f"test_reference.py::test_schedule_as_hyperparameter[{name}]",)


def watch(file: str, *names: str) -> tuple[str, ...]:
    """Return these tests of a file of tests/diagnosis."""
    return tuple(f"diagnosis/test_{file}.py::test_{name}" for name in names)


def identity(name: str) -> tuple[str, ...]:
    """Return this test of the identities."""
    return (f"test_identities.py::test_{name}",)


def speed(name: str) -> tuple[str, ...]:
    """Return this test of speed without a clock."""
    return (f"test_speed.py::test_{name}",)


def law(name: str) -> tuple[str, ...]:
    """Return this test of the laws."""
    return (f"test_laws.py::test_{name}",)


EMA, TRACE, DECAY = "factors/ema.py", "factors/momentum.py", "factors/weight_decay.py"
ADAGRAD, RMS, ADAM = "factors/adagrad.py", "factors/rms.py", "methods/adam.py"
AMSGRAD, RADAM, CLIP, APPLY = "methods/amsgrad.py", "methods/radam.py", "limits/clip.py", "schedules/apply.py"
KERNEL, NORM = "_core/engine/kernel.py", "_core/arrays/norm.py"
NUMERICS, SEGMENT, LEAFWISE, COMPOSE = (
    "_core/arrays/numerics.py",
    "_core/engine/segment.py",
    "_core/engine/leafwise.py",
    "_core/engine/chain.py",
)
SGD, RMSPROP = "methods/sgd.py", "methods/rmsprop.py"

NEW_MEAN = 'm = k.decay * slots["mu"] + (1 - k.decay) * g'
MEAN_VALUE = 'return k.unbias * m, {"mu": m}'
WITH_CORRECTION = "unbias(k.decay, steps(count)) if debias else 1.0"
CLIP_FACTOR = "jnp.where(jnp.isfinite(excess), 1.0 / jnp.maximum(excess, 1.0), jnp.nan)"

MUTANTS: list[Mutant] = [
    # directions
    Mutant(
        "ema: decay and 1 - decay swapped", EMA, NEW_MEAN, 'm = (1 - k.decay) * slots["mu"] + k.decay * g', row("ema")
    ),
    Mutant("ema: a sum, not a mean", EMA, NEW_MEAN, 'm = k.decay * slots["mu"] + g', row("ema")),
    Mutant("ema: no correction", EMA, MEAN_VALUE, 'return m, {"mu": m}', row("ema")),
    Mutant("ema: keeps the corrected mean", EMA, MEAN_VALUE, 'return k.unbias * m, {"mu": k.unbias * m}', row("ema")),
    Mutant("ema: debias inverted", EMA, "if not debias:", "if debias:", row("ema[biased]")),
    Mutant("ema: looks ahead with t", EMA, "k.decay, t + 1.0)", "k.decay, t)", row("ema[nesterov]")),
    Mutant(
        "trace: looks ahead the wrong way", TRACE, "g + k.decay * m if", "m + k.decay * g if", row("trace[nesterov]")
    ),
    Mutant("trace: a mean, not a sum", TRACE, "m = g +", "m = (1 - k.decay) * g +", row("trace")),
    Mutant("weight decay: sign", DECAY, "g + k.weight_decay * p", "g - k.weight_decay * p", row("add_decayed_weights")),
    Mutant(
        "weight decay: of the gradient", DECAY, "k.weight_decay * p", "k.weight_decay * g", row("add_decayed_weights")
    ),
    # scales
    Mutant("adagrad: not squared", ADAGRAD, "+ abs_sq(g)", "+ abs(g)", row("scale_by_adagrad")),
    Mutant(
        "adagrad: eps outside the root",
        ADAGRAD,
        "root((s + k.eps) * k.share)",
        "root(s * k.share) + k.eps",
        row("scale_by_adagrad"),
    ),
    Mutant(
        "adagrad: sum for mean", ADAGRAD, "1.0 / steps(count) if mean", "1.0 if mean", row("scale_by_adagrad[mean]")
    ),
    Mutant("adagrad: starts at 0", ADAGRAD, "full(p, initial_accumulator_value,", "full(p, 0.0,", row("scale_by_rss")),
    Mutant("rms: not squared", RMS, "k.add * abs_sq(g)", "k.add * abs(g)", row("scale_by_rms")),
    Mutant(
        "rms: eps on the wrong side",
        RMS,
        "if eps_in_sqrt else (0.0, eps)\n    rule",
        "if not eps_in_sqrt else (0.0, eps)\n    rule",
        row("scale_by_rms", "scale_by_rms[eps outside]"),
    ),
    Mutant("rms: never corrected", RMS, WITH_CORRECTION, "1.0", row("scale_by_rms[corrected]")),
    Mutant(
        "rms: starts at 0",
        RMS,
        'return {"nu": full(p, initial_scale,',
        'return {"nu": full(p, 0.0,',
        row("scale_by_rms[eps outside]"),
    ),
    Mutant(
        "rms: first gradient one step late",
        RMS,
        "jnp.where(count == 0, 0.0, k.decay)",
        "jnp.where(count == 1, 0.0, k.decay)",
        row("scale_by_rms[first gradient]"),
    ),
    Mutant(
        "rms: first gradient weighted by 1 - decay",
        RMS,
        "jnp.where(count == 0, 1.0, 1 - k.decay)",
        "1 - k.decay",
        identity("the_first_gradient_is_the_first_sigma"),
    ),
    Mutant(
        "rms: two starts pass",
        RMS,
        "if first_gradient and (",
        "if False and first_gradient and (",
        identity("one_start_only"),
    ),
    Mutant(
        "stddev: correction outside the square",
        RMS,
        "abs_sq(mu * k.unbias)",
        "abs_sq(mu) * k.unbias",
        row("scale_by_stddev[corrected]"),
    ),
    Mutant("stddev: about 0", RMS, "nu * k.unbias - abs_sq(mu * k.unbias)", "nu * k.unbias", row("scale_by_stddev")),
    Mutant(
        "stddev: negative variance",
        RMS,
        "jnp.maximum(nu * k.unbias - abs_sq(mu * k.unbias), 0.0)",
        "nu * k.unbias - abs_sq(mu * k.unbias)",
        identity("a_steady_gradient_has_no_variance_and_no_nan"),
    ),
    Mutant("adam: b1 is b2", ADAM, "ema(b1, True,", "ema(b2, True,", row("scale_by_adam")),
    Mutant("adam: sigma not corrected", ADAM, ", debias=True)", ", debias=False)", row("scale_by_adam")),
    Mutant(
        "adam: eps inside the root",
        ADAM,
        "rms(b2, eps, eps_root=eps_root",
        "rms(b2, eps_root, eps_root=eps",
        row("scale_by_adam"),
    ),
    Mutant("adam: mu_dtype ignored", ADAM, "True, mu_dtype,", "True, None,", row("scale_by_adam[bfloat16 mu]")),
    Mutant("amsgrad: minimum", AMSGRAD, "jnp.maximum(", "jnp.minimum(", row("scale_by_amsgrad")),
    Mutant(
        "amsgrad: maximum before the correction",
        AMSGRAD,
        'jnp.maximum(slots["nu_max"], nu * k.unbias)',
        'jnp.maximum(slots["nu_max"], nu) * k.unbias',
        row("scale_by_amsgrad"),
    ),
    Mutant(
        "amsgrad: remembers the maximum only",
        AMSGRAD,
        '{"nu": nu, "nu_max"',
        '{"nu": nu_max, "nu_max"',
        row("scale_by_amsgrad[paper]"),
    ),
    Mutant(
        "amsgrad: mean always corrected",
        AMSGRAD,
        "ema(b1, bias_correction_mu,",
        "ema(b1, True,",
        row("scale_by_amsgrad[paper]"),
    ),
    Mutant("radam: threshold 4", RADAM, "rho >= k.threshold", "rho >= 4.0", row("scale_by_radam")),
    Mutant("radam: threshold 6", RADAM, "rho >= k.threshold", "rho >= k.threshold + 1.0", row("scale_by_radam")),
    Mutant("radam: r for 1 / r", RADAM, '"per_r": 1.0 / jnp.sqrt(', '"per_r": jnp.sqrt(', row("scale_by_radam")),
    Mutant("radam: a factor of r missing", RADAM, "(safe - 4.0) * (safe - 2.0)", "(safe - 4.0)", row("scale_by_radam")),
    Mutant(
        "radam: never trusted", RADAM, "jnp.where(k.trusted, sigma, 1.0)", "jnp.ones_like(sigma)", row("scale_by_radam")
    ),
    # limits and rates
    Mutant(
        "clip: scales small gradients up",
        CLIP,
        "1.0 / jnp.maximum(excess, 1.0)",
        "1.0 / excess",
        row("clip_by_global_norm"),
    ),
    Mutant("clip: first leaf only", NORM, "for s in squares)", "for s in squares[:1])", law("clip_takes_every_leaf")),
    Mutant(
        "clip: not squared",
        NORM,
        "abs_sq(lax.convert_element_type(lax.opt",
        "jnp.abs(lax.convert_element_type(lax.opt",
        law("clip_takes_every_leaf[plain_norm]"),
    ),
    Mutant(
        "clip: part of a step that is infinite",
        CLIP,
        CLIP_FACTOR,
        "1.0 / jnp.maximum(excess, 1.0)",
        law("clip_applies_no_part_of_a_step_that_is_not_finite"),
    ),
    Mutant("clip: overflows", NORM, "2.0**-40", "2.0**-4", law("clip_is_right_beyond_the_range_of_squares")),
    Mutant(
        "clip: trusts what overflows",
        NORM,
        "& (squared < jnp.inf)",
        "",
        law("clip_is_right_beyond_the_range_of_squares"),
    ),
    Mutant(
        "clip: trusts what vanishes", NORM, "(squared > EXACT) &", "", law("clip_is_right_beyond_the_range_of_squares")
    ),
    Mutant(
        "clip: counts the overlap of blocks twice",
        NORM,
        "jnp.where(new, abs_sq(",
        "jnp.where(True, abs_sq(",
        law("clip_is_right_beyond_the_range_of_squares"),
    ),
    Mutant(
        "clip: forgets the large leaves",
        NORM,
        "if g.size > SMALL]",
        "if g.size > 2 * SMALL]",
        law("clip_takes_every_leaf"),
    ),
    Mutant(
        "clip: elsewhere than on a CPU, not shrunk back",
        NORM,
        "* (1.0 / SHRINK)",
        "",
        law("clip_is_right_beyond_the_range_of_squares"),
    ),
    Mutant(
        "rate: sign", APPLY, "-1.0 if flip_sign else 1.0", "1.0 if flip_sign else -1.0", row("scale_by_learning_rate")
    ),
    Mutant("rate: always descends", APPLY, "-1.0 if flip_sign else 1.0", "-1.0", row("scale_by_learning_rate[ascent]")),
    # the arithmetic of rules
    Mutant(
        "unbias: loses digits",
        NUMERICS,
        "return 0.5 - 0.5 / jnp.tanh(t * half)",
        "return 1.0 / (1.0 - jnp.exp(2.0 * t * half))",
        identity("the_correction_of_a_mean_keeps_its_digits"),
    ),
    Mutant(
        "unbias: of a schedule, not halved",
        NUMERICS,
        "half = jnp.log(decay) / 2",
        "half = jnp.log(decay)",
        scheduled("adam"),
    ),
    Mutant(
        "count: wraps round",
        NUMERICS,
        "jnp.where(count < INT32_MAX, count + 1, INT32_MAX)",
        "(count + 1)",
        identity("the_first_update_sees_count_zero_and_the_count_saturates"),
    ),
    Mutant("steps: from 0", NUMERICS, "scalar_dtype()) + 1.0", "scalar_dtype())", row("ema")),
    Mutant(
        "abs_sq: of a complex number",
        NUMERICS,
        "+ x.imag * x.imag",
        "- x.imag * x.imag",
        identity("complex_gradients_have_a_real_sigma"),
    ),
    Mutant(
        "root: infinite slope at 0",
        NUMERICS,
        "0.5 * divide(jnp.ones_like(value), value)",
        "0.5 / value",
        identity("gradient_through_a_zero_is_finite"),
    ),
    Mutant(
        "root: twice the slope", NUMERICS, "0.5 * divide(", "divide(", identity("a_root_has_half_its_inverse_as_slope")
    ),
    Mutant(
        "divide: NaN slope at 0",
        NUMERICS,
        "safe = jnp.where(sigma == 0, jnp.inf, sigma)",
        "safe = sigma",
        identity("gradient_through_a_zero_is_finite"),
    ),
    Mutant(
        "accumulator: half precision",
        NUMERICS,
        "return jnp.dtype(jnp.float32) if",
        "return dtype if",
        identity("accumulators_of_half_precision_are_float32"),
    ),
    Mutant(
        "wider: half precision stays",
        NUMERICS,
        "np.promote_types(accumulator(a), accumulator(b))",
        "np.promote_types(a, b)",
        row("scale_by_learning_rate", dtype="bfloat16"),
    ),
    # the core
    Mutant(
        "apply_updates: rounds twice",
        "_core/engine/apply.py",
        "+ lax.convert_element_type(u, dtype)",
        "+ lax.convert_element_type(lax.convert_element_type(u, p.dtype), dtype)",
        law("apply_updates_keeps_small_steps_that_rounding_first_would_lose"),
    ),
    Mutant(
        "apply_updates: None for a frozen leaf",
        "_core/engine/apply.py",
        "[p if u is None",
        "[u if u is None",
        law("apply_updates_adds_in_the_wider_dtype"),
    ),
    Mutant(
        "schedule: sees the next count",
        "_core/arguments/hyperparams.py",
        "value = hyper(count)",
        "value = hyper(count + 1)",
        identity("the_first_update_sees_count_zero_and_the_count_saturates"),
    ),
    Mutant(
        "params: missing passes",
        "_core/arrays/tree.py",
        "        if needs_params:\n            fix",
        "        if not needs_params:\n            fix",
        identity("weight_decay_needs_the_parameters"),
    ),
    Mutant("count: stands still", SEGMENT, "[increment(count) for count in counts]", "list(counts)", row("ema")),
    Mutant(
        "event: comes again",
        SEGMENT,
        "now = (events[i] < 0) & hyper",
        "now = hyper",
        identity("extra_arguments_reach_members_of_both_libraries"),
    ),
    Mutant(
        "extra argument: missing passes",
        SEGMENT,
        "if argument not in extra:",
        "if not argument:",
        identity("a_missing_extra_argument_is_named"),
    ),
    Mutant(
        "mask: inverted",
        SEGMENT,
        "or bool(mask[i])",
        "or not bool(mask[i])",
        identity("weight_decay_only_where_the_mask_says"),
    ),
    Mutant(
        "slots: change dtype",
        KERNEL,
        "lax.convert_element_type(new[key], slots[key].dtype)",
        "new[key]",
        identity("state_keeps_the_dtype_asked_for"),
    ),
    Mutant(
        "slots: forgotten",
        SEGMENT,
        "zip(new_slots, new, strict=True)",
        "zip(new_slots, old, strict=True)",
        row("trace"),
    ),
    Mutant(
        "dtype: a wide slot made narrow",
        KERNEL,
        "dtype = wider(dtype, x.dtype)",
        "pass",
        identity("narrow_gradients_of_wide_parameters_are_computed_wide"),
    ),
    Mutant(
        "errors: any number passes",
        "_core/arguments/hyperparams.py",
        "if not (above and below):",
        "if False:",
        ("test_errors.py::test_number_out_of_range[trace(decay)]",),
    ),
    Mutant(
        "errors: any shape passes",
        "_core/arrays/tree.py",
        "if found == shape:",
        "if True:",
        ("test_errors.py::test_bad_update[scale: a wrong shape-eager]",),
    ),
    Mutant("init: None leaf", LEAFWISE, "s and s[key]", "s[key]", law("none_leaves_pass[trace]")),
    Mutant("divide_by: upside down", LEAFWISE, "divide(g, sigma)", "divide(sigma, g)", row("divide_by")),
    Mutant("ratio: sigma of the direction", LEAFWISE, "sigma.update(g,", "sigma.update(above,", row("scale_by_adam")),
    Mutant(
        "ratio: one slot for two",
        LEAFWISE,
        'f"sigma_{key}" if key in taken else key',
        "key",
        identity("ratio_renames_a_slot_that_both_use"),
    ),
    Mutant(
        "chain: extra arguments lost",
        COMPOSE,
        "run.update(grads, states[positions[0]], params, **extra)",
        "run.update(grads, states[positions[0]], params)",
        identity("extra_arguments_reach_members_of_both_libraries[chain0]"),
    ),
    Mutant(
        "chain: params lost",
        COMPOSE,
        "for i in positions], params, extra)",
        "for i in positions], None, extra)",
        row("chain"),
    ),
    Mutant(
        "chain: members side by side",
        COMPOSE,
        "grads, own = run.update",
        "_, own = run.update",
        identity("chains_hold_members_of_both_libraries[chain0]"),
    ),
    Mutant(
        "chain: segments side by side",
        COMPOSE,
        "grads, new = run.update",
        "_, new = run.update",
        identity("chain_order_matters"),
    ),
    Mutant(
        "chain: a clip that does not see what comes before",
        COMPOSE,
        " or body.rule.global_scalars is not None",
        "",
        identity("chain_order_matters"),
    ),
    Mutant(
        "chain: states of members swapped",
        COMPOSE,
        "zip(positions, new, strict=True)",
        "zip(positions[::-1], new, strict=True)",
        identity("a_chain_within_a_chain_keeps_its_own_state"),
    ),
    Mutant(
        "chain: identity takes any state",
        COMPOSE,
        'check_slots("identity", states[positions[0]], optax.EmptyState)',
        "pass",
        identity("a_chain_within_a_chain_keeps_its_own_state"),
    ),
    Mutant(
        "outside jit: masks are traced",
        SEGMENT,
        "if not self.has_mask and few_arrays(arguments):",
        "if few_arrays(arguments):",
        speed("a_mask_may_look_at_the_numbers_and_change_outside_jit"),
    ),
    Mutant(
        "outside jit: one device only",
        SEGMENT,
        "except (TypeError, ValueError):",
        "except TypeError:",
        speed("leaves_may_live_on_devices_of_their_own_outside_jit"),
    ),
    Mutant(
        "outside jit: a dispatch for each leaf",
        SEGMENT,
        "if not self.has_mask and few_arrays(arguments):",
        "if False:",
        speed("outside_jit_an_update_is_one_program[adam]"),
    ),
    Mutant(
        "one loop: a result from what another wrote",
        KERNEL,
        "before = lax.optimization_barrier(before)",
        "pass",
        speed("with_xlas_flag_each_byte_is_moved_once[adam]"),
    ),
    # the optimizers
    Mutant(
        "sgd: nesterov ignored",
        SGD,
        "trace(momentum, nesterov, acc",
        "trace(momentum, False, acc",
        row("sgd[nesterov]"),
    ),
    Mutant(
        "rmsprop: centered inverted",
        RMSPROP,
        "scale_by_stddev if centered",
        "scale_by_stddev if not centered",
        row("rmsprop"),
    ),
    Mutant(
        "rmsprop: rate after momentum",
        RMSPROP,
        "scale_by_learning_rate(learning_rate), after)",
        "after, scale_by_learning_rate(learning_rate))",
        scheduled("rmsprop"),
    ),
    Mutant(
        "adamw: decay after the rate",
        ADAM,
        "add_decayed_weights(weight_decay, mask), scale_by_learning_rate(learning_rate)",
        "scale_by_learning_rate(learning_rate), add_decayed_weights(weight_decay, mask)",
        row("adamw"),
    ),
    Mutant("nadam: plain adam", ADAM, "eps_root, mu_dtype, nesterov=True)", "eps_root, mu_dtype)", row("nadam")),
    Mutant("nadamw: plain adamw", ADAM, "mask, nesterov=True)", "mask)", row("nadamw")),
    Mutant(
        "radam: threshold not passed on",
        RADAM,
        "eps_root, threshold, nesterov=nesterov)",
        "eps_root, nesterov=nesterov)",
        ("test_reference.py::test_optax[radam, b2, threshold, nesterov]",),
    ),
    # the record
    Mutant(
        "watch: ring does not wrap",
        "diagnosis/record/record.py",
        "ring_steps=record.ring_steps.at[at].set(t)",
        "ring_steps=record.ring_steps.at[jnp.minimum(i, RING - 1)].set(t)",
        watch("record", "ring_keeps_the_last_256"),
    ),
    Mutant(
        "watch: a halved block keeps its length",
        "diagnosis/record/record.py",
        "jnp.where(full, record.block * 2, record.block)",
        "record.block",
        watch("record", "history_adds_up_after_halvings"),
    ),
    Mutant(
        "watch: halving keeps the first block only",
        "diagnosis/record/record.py",
        "count, share = a[0] + b[0],",
        "count, share = a[0] + a[0],",
        watch("record", "history_adds_up_after_halvings"),
    ),
    Mutant(
        "watch: end slope of this update",
        "diagnosis/record/measure.py",
        "inner(gs - cos1 * record.g1, record.u1)",
        "inner(gs - cos1 * record.g1, us)",
        watch("record", "columns[momentum]"),
    ),
    Mutant(
        "watch: start slope of this step",
        "diagnosis/record/measure.py",
        'jnp.where(follows, column(record.ring[last], "gu"), BLANK)',
        "jnp.where(follows, gu, BLANK)",
        watch("record", "columns[momentum]"),
    ),
    Mutant(
        "watch: pairs across a gap",
        "diagnosis/record/measure.py",
        "follows2 = follows & (record.ring_steps[before] == t - 2) & (t > 1)",
        "follows2 = record.ring_steps[last] >= 1",
        watch("record", "every_measures_runs_of_three_and_no_pair_across_a_gap"),
    ),
    Mutant(
        "watch: clip factor above 1",
        "diagnosis/record/measure.py",
        "jnp.minimum(1.0, bound / jnp.where(some, size, 1.0))",
        "bound / jnp.where(some, size, 1.0)",
        watch("evidence", "metrics_of_a_clip"),
    ),
    Mutant(
        "watch: straightness a step late",
        "diagnosis/record/measure.py",
        "steps >= STRAIGHT",
        "steps > STRAIGHT",
        watch("record", "columns[momentum]"),
    ),
    Mutant(
        "watch: sample not scaled to the whole",
        "diagnosis/record/measure.py",
        "math.sqrt(x.size / part.size), over",
        "1.0, over",
        watch("record", "large_model_is_estimated"),
    ),
    Mutant(
        "watch: records the step that is not finite",
        "diagnosis/record/monitor.py",
        "due & finite, alive & ~bad)",
        "due & finite, alive)",
        watch("record", "freezes_inside_a_block"),
    ),
    Mutant(
        "watch: drops the update",
        "diagnosis/record/monitor.py",
        "jnp.where(measured, x, jnp.zeros_like(x))",
        "jnp.where(measured, jnp.zeros_like(x), x)",
        watch("watch", "transforms_of_optax_are_exact[clip + momentum]"),
    ),
    Mutant(
        "watch: measures 4 steps in a run",
        "diagnosis/record/monitor.py",
        "t % meta.every < meta.run",
        "t % meta.every <= meta.run",
        watch("record", "every_measures_runs_of_three_and_no_pair_across_a_gap"),
    ),
    # what is read from it
    Mutant(
        "watch: rows in the order of the ring",
        "diagnosis/read/evidence.py",
        "np.arange(max(rows - RING, 0), rows) % RING",
        "np.arange(min(rows, RING))",
        watch("record", "ring_keeps_the_last_256"),
    ),
    Mutant(
        "watch: every step counts as clipped",
        "diagnosis/read/evidence.py",
        "known < 1.0",
        "known <= 1.0",
        watch("evidence", "metrics_of_a_clip"),
    ),
    Mutant(
        "watch: some zeros make a group dead",
        "diagnosis/read/extract.py",
        "zeros > 0.99",
        "zeros > 0.2",
        watch("evidence", "dead_groups_are_named"),
    ),
    Mutant(
        "watch: bounce mended by 1 / -rho",
        "diagnosis/judge/verdicts.py",
        'factor = over(1, 1 - f.rho)\n    return Finding(\n        "oscillating"',
        'factor = over(1, -f.rho)\n    return Finding(\n        "oscillating"',
        watch("verdicts", "a_bounce_names_the_rate_that_lands_on_the_line_minimum"),
    ),
    Mutant(
        "watch: NaN of a log is a blank",
        "diagnosis/read/logs.py",
        "out.append(math.inf if",
        "out.append(math.nan if",
        watch("logs", "blank_cells_are_unknown_and_nan_cells_are_not_finite"),
    ),
    Mutant(
        "watch: NaN in the JSON",
        "diagnosis/show/report.py",
        "float(value) if math.isfinite(value) else None",
        "float(value)",
        watch("report", "short_runs_are_drawn[20]"),
    ),
]
