"""gradtx: optimizer transforms for JAX, theta <- theta - eta / sigma * m.

A direction m, a scale sigma and a schedule eta; what joins them, what bounds them, and what watches them.
"""

from gradtx import rules, schedules
from gradtx._core.arrays.norm import global_norm
from gradtx._core.contract.state import LeafState
from gradtx._core.contract.transform import Transform
from gradtx._core.engine.apply import apply_updates
from gradtx._core.engine.chain import chain, named_chain
from gradtx._core.engine.hyperparams import hyperparams
from gradtx._core.engine.identity import identity
from gradtx._core.engine.lifts import divide_by, leafwise, quotient, ratio
from gradtx._core.engine.rule import Rule
from gradtx._core.engine.slow_copy import incremental_update, periodic_update
from gradtx.diagnosis.diagnose import diagnose
from gradtx.diagnosis.probing.probe import probe
from gradtx.diagnosis.probing.probed import Probe
from gradtx.diagnosis.read.evidence import metrics
from gradtx.diagnosis.record.monitor import WatchState, watch
from gradtx.diagnosis.show.report import Report
from gradtx.factors.adagrad import scale_by_adagrad, scale_by_rss
from gradtx.factors.ema import ema
from gradtx.factors.momentum import trace
from gradtx.factors.rms import scale_by_rms, scale_by_stddev
from gradtx.factors.stateless import set_to_zero, stateless, stateless_with_tree_map
from gradtx.factors.weight_decay import add_decayed_weights
from gradtx.limits.adaptive_clip import adaptive_grad_clip, unitwise_clip, unitwise_norm
from gradtx.limits.block_rms import clip_by_block_rms, scale_by_param_block_norm, scale_by_param_block_rms
from gradtx.limits.centralize import centralize
from gradtx.limits.clip import clip, clip_by_global_norm
from gradtx.limits.nonfinite import zero_nans
from gradtx.limits.nonnegative import keep_params_nonnegative
from gradtx.limits.normalize import normalize_by_update_norm
from gradtx.limits.per_example import per_example_global_norm_clip, per_example_layer_norm_clip
from gradtx.limits.trust_ratio import scale_by_trust_ratio
from gradtx.methods.adabelief import adabelief, scale_by_belief
from gradtx.methods.adafactor import adafactor, scale_by_factored_rms
from gradtx.methods.adagrad import adagrad
from gradtx.methods.adam import adam, adamw, nadam, nadamw, scale_by_adam
from gradtx.methods.amsgrad import amsgrad, scale_by_amsgrad
from gradtx.methods.distance_over_gradients import scale_by_distance_over_gradients
from gradtx.methods.fromage import fromage
from gradtx.methods.lamb import lamb
from gradtx.methods.lars import lars
from gradtx.methods.muon import muon, scale_by_muon
from gradtx.methods.novograd import novograd, scale_by_novograd
from gradtx.methods.prodigy import prodigy
from gradtx.methods.radam import radam, scale_by_radam
from gradtx.methods.rmsprop import rmsprop
from gradtx.methods.sgd import sgd
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

__version__ = "0.1.0"

__all__ = [
    # core
    "LeafState",
    "Rule",
    "Transform",
    "apply_updates",
    "chain",
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
    "stateless",
    "stateless_with_tree_map",
    # direction m
    "add_decayed_weights",
    "ema",
    "trace",
    # scale sigma
    "scale_by_adagrad",
    "scale_by_adam",
    "scale_by_amsgrad",
    "scale_by_belief",
    "scale_by_distance_over_gradients",
    "scale_by_factored_rms",
    "scale_by_muon",
    "scale_by_novograd",
    "scale_by_radam",
    "scale_by_rms",
    "scale_by_rss",
    "scale_by_stddev",
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
    "global_norm",
    "keep_params_nonnegative",
    "normalize_by_update_norm",
    "per_example_global_norm_clip",
    "per_example_layer_norm_clip",
    "scale_by_param_block_norm",
    "scale_by_param_block_rms",
    "scale_by_trust_ratio",
    "set_to_zero",
    "unitwise_clip",
    "unitwise_norm",
    "zero_nans",
    # whole optimizers
    "adabelief",
    "adafactor",
    "adagrad",
    "adam",
    "adamw",
    "amsgrad",
    "fromage",
    "lamb",
    "lars",
    "muon",
    "nadam",
    "nadamw",
    "novograd",
    "prodigy",
    "radam",
    "rmsprop",
    "sgd",
    # watch
    "Probe",
    "Report",
    "WatchState",
    "diagnose",
    "metrics",
    "probe",
    "watch",
]
