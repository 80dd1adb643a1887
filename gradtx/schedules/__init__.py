"""Schedules eta."""

from gradtx.schedules.decay import constant, cosine, exponential, inverse_time, linear, polynomial
from gradtx.schedules.warmup import warmup_constant, warmup_cosine, warmup_linear, warmup_stable_decay
