"""optax.transforms' names, so that one changed import is enough; all of them stand at the top of gradtx too."""

from typing import TYPE_CHECKING

from gradtx import optax_names
from gradtx._core.engine.chain import chain, named_chain
from gradtx.factors.ema import ema
from gradtx.factors.momentum import trace
from gradtx.factors.noise import add_noise
from gradtx.factors.weight_decay import add_decayed_weights
from gradtx.limits.adaptive_clip import adaptive_grad_clip
from gradtx.limits.block_rms import clip_by_block_rms
from gradtx.limits.clip import clip, clip_by_global_norm
from gradtx.limits.nonfinite import zero_nans
from gradtx.limits.nonnegative import keep_params_nonnegative
from gradtx.limits.per_example import per_example_global_norm_clip, per_example_layer_norm_clip
from gradtx.limits.unit_norms import unitwise_clip, unitwise_norm
from gradtx.wrappers.apply_if_finite import apply_if_finite
from gradtx.wrappers.conditionally import conditionally_mask, conditionally_transform
from gradtx.wrappers.flatten import flatten
from gradtx.wrappers.freeze import freeze, selective_transform
from gradtx.wrappers.masked import masked
from gradtx.wrappers.measure_with_ema import measure_with_ema
from gradtx.wrappers.monitor import monitor
from gradtx.wrappers.multi_steps import MultiSteps, skip_large_updates, skip_not_finite
from gradtx.wrappers.partition import partition
from gradtx.wrappers.snapshot import snapshot

if TYPE_CHECKING:
    from gradtx.optax_names import (
        AddNoiseState,
        ApplyIfFiniteState,
        ConditionallyMaskState,
        ConditionallyTransformState,
        ConditionFn,
        EmaState,
        MaskedNode,
        MaskedState,
        MonitorState,
        MultiStepsState,
        NonNegativeParamsState,
        PartitionState,
        ShouldSkipUpdateFunction,
        SnapshotState,
        TraceState,
        ZeroNansState,
    )
else:
    __getattr__ = optax_names.finder("transforms")

__all__ = [
    "AddNoiseState",
    "ApplyIfFiniteState",
    "ConditionFn",
    "ConditionallyMaskState",
    "ConditionallyTransformState",
    "EmaState",
    "MaskedNode",
    "MaskedState",
    "MonitorState",
    "MultiSteps",
    "MultiStepsState",
    "NonNegativeParamsState",
    "PartitionState",
    "ShouldSkipUpdateFunction",
    "SnapshotState",
    "TraceState",
    "ZeroNansState",
    "adaptive_grad_clip",
    "add_decayed_weights",
    "add_noise",
    "apply_if_finite",
    "chain",
    "clip",
    "clip_by_block_rms",
    "clip_by_global_norm",
    "conditionally_mask",
    "conditionally_transform",
    "ema",
    "flatten",
    "freeze",
    "keep_params_nonnegative",
    "masked",
    "measure_with_ema",
    "monitor",
    "named_chain",
    "partition",
    "per_example_global_norm_clip",
    "per_example_layer_norm_clip",
    "selective_transform",
    "skip_large_updates",
    "skip_not_finite",
    "snapshot",
    "trace",
    "unitwise_clip",
    "unitwise_norm",
    "zero_nans",
]
