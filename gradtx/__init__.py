"""gradtx: optimizer transforms for JAX, theta <- theta - eta / sigma * m.

A direction m, a scale sigma and a schedule eta; what joins them, what bounds them, and what watches them.
"""

import importlib
from typing import TYPE_CHECKING, Any

from gradtx import contrib, optax_names, rules, schedules, transforms, tree
from gradtx._core.arrays.matrices import MuonDimensionNumbers
from gradtx._core.arrays.norm import global_norm
from gradtx._core.contract.state import LeafState
from gradtx._core.contract.transform import Transform
from gradtx._core.engine.apply import apply_updates
from gradtx._core.engine.chain import chain, named_chain
from gradtx._core.engine.hyperparams import hyperparams
from gradtx._core.engine.identity import identity
from gradtx._core.engine.lifts import divide_by, leafwise, quotient, ratio
from gradtx._core.engine.placed import tree_map_params
from gradtx._core.engine.rule import Rule
from gradtx._core.engine.slow_copy import incremental_update, periodic_update
from gradtx.diagnosis.record.monitor import WatchState, watch
from gradtx.factors.adagrad import scale_by_adagrad, scale_by_rss
from gradtx.factors.apply_every import apply_every
from gradtx.factors.ema import ema
from gradtx.factors.factored_rms import scale_by_factored_rms
from gradtx.factors.hutchinson import hutchinson_estimator_diag_hessian
from gradtx.factors.momentum import trace
from gradtx.factors.newton_schulz import orthogonalize_via_newton_schulz
from gradtx.factors.noise import add_noise
from gradtx.factors.rms import scale_by_rms, scale_by_stddev
from gradtx.factors.shape import scale_by_shape
from gradtx.factors.sign import scale_by_sign
from gradtx.factors.stateless import set_to_zero, stateless, stateless_with_tree_map
from gradtx.factors.weight_decay import add_cautious_weight_decay, add_decayed_weights
from gradtx.limits.adaptive_clip import adaptive_grad_clip
from gradtx.limits.block_rms import clip_by_block_rms, scale_by_param_block_norm, scale_by_param_block_rms
from gradtx.limits.centralize import centralize
from gradtx.limits.clip import clip, clip_by_global_norm
from gradtx.limits.nonfinite import zero_nans
from gradtx.limits.nonnegative import keep_params_nonnegative
from gradtx.limits.normalize import normalize
from gradtx.limits.per_example import per_example_global_norm_clip, per_example_layer_norm_clip
from gradtx.limits.privacy import differentially_private_aggregate
from gradtx.limits.trust_ratio import scale_by_trust_ratio
from gradtx.limits.unit_norms import unitwise_clip, unitwise_norm
from gradtx.limits.update_norm import normalize_by_update_norm
from gradtx.memory.keep_residue import keep_residue
from gradtx.memory.stochastic_rounding import stochastic_rounding
from gradtx.memory.store import store
from gradtx.methods.acprop import acprop, scale_by_acprop
from gradtx.methods.adabelief import adabelief, scale_by_belief
from gradtx.methods.adadelta import adadelta, scale_by_adadelta
from gradtx.methods.adafactor import adafactor
from gradtx.methods.adagrad import adagrad
from gradtx.methods.adam import adam, adamw, nadam, nadamw, scale_by_adam
from gradtx.methods.adamax import adamax, adamaxw, scale_by_adamax
from gradtx.methods.adamc import adamc
from gradtx.methods.adan import adan, scale_by_adan
from gradtx.methods.ademamix import ademamix, scale_by_ademamix
from gradtx.methods.adopt import adopt, scale_by_adopt
from gradtx.methods.amsgrad import amsgrad, scale_by_amsgrad
from gradtx.methods.cocob import cocob, scale_by_cocob
from gradtx.methods.dadapt_adamw import dadapt_adamw
from gradtx.methods.distance_over_gradients import scale_by_distance_over_gradients
from gradtx.methods.dog import dog, scale_by_dog
from gradtx.methods.dowg import dowg, scale_by_dowg
from gradtx.methods.dpsgd import dpsgd
from gradtx.methods.fromage import fromage
from gradtx.methods.galore import GaLoreDimensionNumbers, galore, scale_by_galore
from gradtx.methods.lamb import lamb
from gradtx.methods.lars import lars
from gradtx.methods.lion import lion, scale_by_lion
from gradtx.methods.madgrad import madgrad, scale_by_madgrad
from gradtx.methods.mars import mars, scale_by_mars
from gradtx.methods.momo import momo
from gradtx.methods.momo_adam import momo_adam
from gradtx.methods.muon import muon, scale_by_muon
from gradtx.methods.noisy_sgd import noisy_sgd
from gradtx.methods.novograd import novograd, scale_by_novograd
from gradtx.methods.optimistic import (
    optimistic_adam,
    optimistic_adam_v2,
    optimistic_gradient_descent,
    scale_by_optimistic_gradient,
)
from gradtx.methods.polyak import polyak_sgd, scale_by_polyak
from gradtx.methods.prodigy import prodigy
from gradtx.methods.radam import radam, scale_by_radam
from gradtx.methods.rmsprop import rmsprop
from gradtx.methods.rprop import rprop, scale_by_rprop
from gradtx.methods.scion import scale_by_scion, scion
from gradtx.methods.sgd import sgd
from gradtx.methods.shampoo import scale_by_shampoo, shampoo
from gradtx.methods.sign_sgd import sign_sgd, signum
from gradtx.methods.simplified_ademamix import scale_by_simplified_ademamix, simplified_ademamix
from gradtx.methods.sm3 import scale_by_sm3, sm3
from gradtx.methods.soap import scale_by_soap, soap
from gradtx.methods.sophia import scale_by_sophia, sophia
from gradtx.methods.split_real_and_imaginary import split_real_and_imaginary
from gradtx.methods.yogi import scale_by_yogi, yogi
from gradtx.schedules import (
    constant_schedule,
    cosine_decay_schedule,
    cosine_onecycle_schedule,
    exponential_decay,
    join_schedules,
    linear_onecycle_schedule,
    linear_schedule,
    piecewise_constant_schedule,
    piecewise_interpolate_schedule,
    polynomial_schedule,
    sgdr_schedule,
    warmup_constant_schedule,
    warmup_cosine_decay_schedule,
    warmup_exponential_decay_schedule,
)
from gradtx.schedules.apply import scale, scale_by_learning_rate, scale_by_schedule
from gradtx.schedules.plateau import reduce_on_plateau
from gradtx.wrappers.accumulate import accumulate
from gradtx.wrappers.apply_if_finite import apply_if_finite
from gradtx.wrappers.by_path import assigned, by_path
from gradtx.wrappers.cautious import cautious
from gradtx.wrappers.conditionally import conditionally_mask, conditionally_transform
from gradtx.wrappers.eval_params import eval_params
from gradtx.wrappers.extra_args import with_extra_args_support
from gradtx.wrappers.flatten import flatten
from gradtx.wrappers.freeze import freeze, selective_transform
from gradtx.wrappers.guard import guard
from gradtx.wrappers.inject import inject_hyperparams, inject_stateful_hyperparams
from gradtx.wrappers.lookahead import LookaheadParams, lookahead
from gradtx.wrappers.loss_scale import loss_scale, scale_loss
from gradtx.wrappers.masked import masked
from gradtx.wrappers.measure_with_ema import measure_with_ema
from gradtx.wrappers.mechanize import mechanize
from gradtx.wrappers.monitor import monitor
from gradtx.wrappers.multi_steps import MultiSteps, skip_large_updates, skip_not_finite
from gradtx.wrappers.params_ema import params_ema
from gradtx.wrappers.partition import multi_transform, partition
from gradtx.wrappers.sam import sam
from gradtx.wrappers.schedule_free import schedule_free, schedule_free_eval_params
from gradtx.wrappers.schedule_free_methods import schedule_free_adamw, schedule_free_sgd
from gradtx.wrappers.skips import Skipped, skipped
from gradtx.wrappers.snapshot import snapshot
from gradtx.wrappers.tunable import set_hyperparams, tunable

if TYPE_CHECKING:
    from gradtx.cpu import cpu_flags
    from gradtx.diagnosis.diagnose import diagnose
    from gradtx.diagnosis.probing.probe import probe
    from gradtx.diagnosis.probing.probed import Probe
    from gradtx.diagnosis.read.logs import read_log
    from gradtx.diagnosis.read.metrics import metrics
    from gradtx.diagnosis.record.late import record_loss
    from gradtx.diagnosis.show.report import Report
    from gradtx.memory.check import CheckReport, check
    from gradtx.memory.offload import offload
    from gradtx.memory.plan import Plan, describe
    from gradtx.memory.shard_state import shard_state
    from gradtx.memory.state_specs import state_specs
    from gradtx.methods.lbfgs import lbfgs, scale_by_lbfgs
    from gradtx.migration.flat import ImportReport, export_state, import_state
    from gradtx.migration.from_optax import import_optax_state
    from gradtx.migration.from_torch import import_torch_state
    from gradtx.optax_names import *  # noqa: F403  # the names in its __all__, which is part of the one below
    from gradtx.searches.backtracking import scale_by_backtracking_linesearch
    from gradtx.searches.scale_by_zoom import scale_by_zoom_linesearch
    from gradtx.searches.state import value_and_grad_from_state
    from gradtx.searches.zoom_linesearch import zoom_linesearch
else:
    # imported when first asked for: a third of the package, which few training steps need
    LATER = {
        "diagnose": "gradtx.diagnosis.diagnose",
        "probe": "gradtx.diagnosis.probing.probe",
        "Probe": "gradtx.diagnosis.probing.probed",
        "read_log": "gradtx.diagnosis.read.logs",
        "metrics": "gradtx.diagnosis.read.metrics",
        "Report": "gradtx.diagnosis.show.report",
        "CheckReport": "gradtx.memory.check",
        "check": "gradtx.memory.check",
        "Plan": "gradtx.memory.plan",
        "describe": "gradtx.memory.plan",
        "shard_state": "gradtx.memory.shard_state",
        "state_specs": "gradtx.memory.state_specs",
        "ImportReport": "gradtx.migration.flat",
        "export_state": "gradtx.migration.flat",
        "import_state": "gradtx.migration.flat",
        "import_optax_state": "gradtx.migration.from_optax",
        "import_torch_state": "gradtx.migration.from_torch",
        "record_loss": "gradtx.diagnosis.record.late",
        "lbfgs": "gradtx.methods.lbfgs",
        "scale_by_lbfgs": "gradtx.methods.lbfgs",
        "scale_by_backtracking_linesearch": "gradtx.searches.backtracking",
        "scale_by_zoom_linesearch": "gradtx.searches.scale_by_zoom",
        "value_and_grad_from_state": "gradtx.searches.state",
        "zoom_linesearch": "gradtx.searches.zoom_linesearch",
        "cpu_flags": "gradtx.cpu",
        "offload": "gradtx.memory.offload",
    }
    of_optax = optax_names.finder("")

    def __getattr__(name: str) -> Any:
        if name not in LATER:
            return of_optax(name)
        globals()[name] = getattr(importlib.import_module(LATER[name]), name)
        return globals()[name]


__version__ = "0.1.0"

__all__ = [
    # core
    "LeafState",
    "MuonDimensionNumbers",
    "Rule",
    "Transform",
    "apply_updates",
    "chain",
    "contrib",
    "divide_by",
    "hyperparams",
    "identity",
    "incremental_update",
    "leafwise",
    "named_chain",
    "periodic_update",
    "quotient",
    "ratio",
    "rules",
    "transforms",
    "tree",
    "tree_map_params",
    # direction m
    "add_cautious_weight_decay",
    "add_decayed_weights",
    "add_noise",
    "ema",
    "hutchinson_estimator_diag_hessian",
    "orthogonalize_via_newton_schulz",
    "scale_by_lbfgs",
    "scale_by_lion",
    "scale_by_mars",
    "scale_by_muon",
    "scale_by_optimistic_gradient",
    "scale_by_scion",
    "scale_by_shape",
    "scale_by_sign",
    "trace",
    # scale sigma
    "scale_by_acprop",
    "scale_by_adadelta",
    "scale_by_adagrad",
    "scale_by_adam",
    "scale_by_adamax",
    "scale_by_adan",
    "scale_by_ademamix",
    "scale_by_adopt",
    "scale_by_amsgrad",
    "scale_by_belief",
    "scale_by_cocob",
    "scale_by_distance_over_gradients",
    "scale_by_dog",
    "scale_by_dowg",
    "scale_by_factored_rms",
    "scale_by_galore",
    "scale_by_madgrad",
    "scale_by_novograd",
    "scale_by_polyak",
    "scale_by_radam",
    "scale_by_rms",
    "scale_by_rprop",
    "scale_by_rss",
    "scale_by_shampoo",
    "scale_by_simplified_ademamix",
    "scale_by_sm3",
    "scale_by_soap",
    "scale_by_sophia",
    "scale_by_stddev",
    "scale_by_yogi",
    "set_to_zero",
    "stateless",
    "stateless_with_tree_map",
    # schedule eta
    "scale",
    "scale_by_learning_rate",
    "scale_by_schedule",
    "schedules",
    # optax's names for schedules
    "constant_schedule",
    "cosine_decay_schedule",
    "cosine_onecycle_schedule",
    "exponential_decay",
    "join_schedules",
    "linear_onecycle_schedule",
    "linear_schedule",
    "piecewise_constant_schedule",
    "piecewise_interpolate_schedule",
    "polynomial_schedule",
    "reduce_on_plateau",
    "sgdr_schedule",
    "warmup_constant_schedule",
    "warmup_cosine_decay_schedule",
    "warmup_exponential_decay_schedule",
    # limit
    "adaptive_grad_clip",
    "centralize",
    "clip",
    "clip_by_block_rms",
    "clip_by_global_norm",
    "differentially_private_aggregate",
    "global_norm",
    "keep_params_nonnegative",
    "normalize",
    "normalize_by_update_norm",
    "per_example_global_norm_clip",
    "per_example_layer_norm_clip",
    "scale_by_param_block_norm",
    "scale_by_param_block_rms",
    "scale_by_trust_ratio",
    "unitwise_clip",
    "unitwise_norm",
    "zero_nans",
    # line search
    "scale_by_backtracking_linesearch",
    "scale_by_zoom_linesearch",
    "value_and_grad_from_state",
    "zoom_linesearch",
    # whole optimizers
    "GaLoreDimensionNumbers",
    "acprop",
    "adabelief",
    "adadelta",
    "adafactor",
    "adagrad",
    "adam",
    "adamax",
    "adamaxw",
    "adamc",
    "adamw",
    "adan",
    "ademamix",
    "adopt",
    "amsgrad",
    "cocob",
    "dadapt_adamw",
    "dog",
    "dowg",
    "dpsgd",
    "fromage",
    "galore",
    "lamb",
    "lars",
    "lbfgs",
    "lion",
    "madgrad",
    "mars",
    "momo",
    "momo_adam",
    "muon",
    "nadam",
    "nadamw",
    "noisy_sgd",
    "novograd",
    "optimistic_adam",
    "optimistic_adam_v2",
    "optimistic_gradient_descent",
    "polyak_sgd",
    "prodigy",
    "radam",
    "rmsprop",
    "rprop",
    "scion",
    "sgd",
    "shampoo",
    "sign_sgd",
    "signum",
    "simplified_ademamix",
    "sm3",
    "soap",
    "sophia",
    "split_real_and_imaginary",
    "yogi",
    # around other transforms
    "LookaheadParams",
    "MultiSteps",
    "Skipped",
    "accumulate",
    "apply_every",
    "apply_if_finite",
    "assigned",
    "by_path",
    "cautious",
    "conditionally_mask",
    "conditionally_transform",
    "eval_params",
    "flatten",
    "freeze",
    "guard",
    "inject_hyperparams",
    "inject_stateful_hyperparams",
    "lookahead",
    "loss_scale",
    "masked",
    "mechanize",
    "multi_transform",
    "params_ema",
    "partition",
    "sam",
    "scale_loss",
    "schedule_free",
    "schedule_free_adamw",
    "schedule_free_eval_params",
    "schedule_free_sgd",
    "selective_transform",
    "set_hyperparams",
    "skip_large_updates",
    "skip_not_finite",
    "skipped",
    "tunable",
    "with_extra_args_support",
    # in fewer bytes
    "keep_residue",
    "stochastic_rounding",
    "store",
    # memory
    "offload",
    "shard_state",
    "state_specs",
    # measure inside a chain
    "measure_with_ema",
    "monitor",
    "snapshot",
    # watch
    "Probe",
    "Report",
    "WatchState",
    "diagnose",
    "read_log",
    "metrics",
    "probe",
    "record_loss",
    "watch",
    # before it runs
    "CheckReport",
    "Plan",
    "check",
    "cpu_flags",
    "describe",
    # a state taken along
    "ImportReport",
    "export_state",
    "import_optax_state",
    "import_state",
    "import_torch_state",
]
__all__ += optax_names.__all__


def __dir__() -> list[str]:
    """Return the public names, optax's own among them, for whoever completes a name."""
    return sorted({*globals(), *__all__})
