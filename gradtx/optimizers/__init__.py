"""Whole optimizers: named recipes of a direction, a scale and a schedule."""

from gradtx.optimizers.adam import adam, adamw, nadam, nadamw
from gradtx.optimizers.adam_variants import amsgrad, radam
from gradtx.optimizers.plain import adagrad, rmsprop, sgd

__all__ = ["adagrad", "adam", "adamw", "amsgrad", "nadam", "nadamw", "radam", "rmsprop", "sgd"]
