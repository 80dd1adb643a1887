"""gradtx: optimizer transforms for JAX, theta <- theta - eta / sigma * m.

A direction m, a scale sigma and a schedule eta; what joins them, what bounds them, and what watches them.
"""

from gradtx import schedules
from gradtx.core.apply import apply_updates
from gradtx.core.compose import chain, identity, named_chain
from gradtx.core.hyperparams import hyperparams
from gradtx.core.leafwise import divide_by, leafwise, ratio
from gradtx.core.rule import LeafState, Rule
from gradtx.core.transform import Transform
from gradtx.direction.ema import ema
from gradtx.direction.momentum import trace
from gradtx.direction.weight_decay import add_decayed_weights
from gradtx.limit.clip import clip_by_global_norm
from gradtx.limit.norm import global_norm
from gradtx.optimizers import adagrad, adam, adamw, amsgrad, nadam, nadamw, radam, rmsprop, sgd
from gradtx.scale.adagrad import scale_by_adagrad, scale_by_rss
from gradtx.scale.adam import scale_by_adam
from gradtx.scale.amsgrad import scale_by_amsgrad
from gradtx.scale.radam import scale_by_radam
from gradtx.scale.rms import scale_by_rms, scale_by_stddev
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
from gradtx.watch.diagnose import diagnose
from gradtx.watch.evidence import metrics
from gradtx.watch.monitor import WatchState, watch
from gradtx.watch.probe import probe
from gradtx.watch.probed import Probe
from gradtx.watch.report import Report

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
    "leafwise",
    "named_chain",
    "ratio",
    # direction m
    "add_decayed_weights",
    "ema",
    "trace",
    # scale sigma
    "scale_by_adagrad",
    "scale_by_adam",
    "scale_by_amsgrad",
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
    "clip_by_global_norm",
    "global_norm",
    # whole optimizers
    "adagrad",
    "adam",
    "adamw",
    "amsgrad",
    "nadam",
    "nadamw",
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
