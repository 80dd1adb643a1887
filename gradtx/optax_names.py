"""The names of optax that are no optimizers, transforms, schedules or wrappers: optax's own objects, unchanged.

They are here so that `import gradtx as optax` is the one line that changes in a script; what gradtx makes itself stands
elsewhere. A name is looked up in optax when it is asked for: importing gradtx costs nothing for it, a deprecated one
warns as in optax, and one that this release of optax does not have stops nobody who does not use it.
"""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import optax

if TYPE_CHECKING:  # for whoever reads types; at run time `finder` finds them
    from optax import (
        AdaptiveGradClipState,
        AddDecayedWeightsState,
        AddNoiseState,
        ApplyEvery,
        ApplyIfFiniteState,
        ClipByGlobalNormState,
        ClipState,
        ConditionallyMaskState,
        ConditionallyTransformState,
        EmaState,
        EmptyState,
        FactoredState,
        GradientTransformation,
        GradientTransformationExtraArgs,
        InjectHyperparamsState,
        InjectStatefulHyperparamsState,
        LookaheadState,
        MaskedNode,
        MaskedState,
        MaskOrFn,
        MonitorState,
        MultiStepsState,
        MultiTransformState,
        NonNegativeParamsState,
        OptState,
        Params,
        PartitionState,
        ScalarOrSchedule,
        ScaleByAdaDeltaState,
        ScaleByAdamState,
        ScaleByAdanState,
        ScaleByAmsgradState,
        ScaleByBacktrackingLinesearchState,
        ScaleByBeliefState,
        ScaleByLBFGSState,
        ScaleByLionState,
        ScaleByNovogradState,
        ScaleByRmsState,
        ScaleByRpropState,
        ScaleByRssState,
        ScaleByRStdDevState,
        ScaleByScheduleState,
        ScaleBySM3State,
        ScaleByTrustRatioState,
        ScaleByZoomLinesearchState,
        ScaleState,
        Schedule,
        ShouldSkipUpdateFunction,
        SnapshotState,
        TraceState,
        TransformInitFn,
        TransformUpdateExtraArgsFn,
        TransformUpdateFn,
        Updates,
        WrappedSchedule,
        ZeroNansState,
        ZoomLinesearchInfo,
        assignment,
        bias_correction,
        convex_kl_divergence,
        cosine_distance,
        cosine_similarity,
        ctc_loss,
        ctc_loss_with_forward_probs,
        experimental,
        generalized_kl_divergence,
        hinge_loss,
        huber_loss,
        init_empty_state,
        kl_divergence,
        l2_loss,
        log_cosh,
        losses,
        matrix_inverse_pth_root,
        microbatch,
        microbatching,
        multi_normal,
        nnls,
        ntxent,
        perturbations,
        power_iteration,
        projections,
        safe_increment,
        safe_int32_increment,
        safe_norm,
        safe_root_mean_squares,
        safe_softmax_cross_entropy,
        scale_gradient,
        second_order,
        sigmoid_binary_cross_entropy,
        sigmoid_focal_loss,
        smooth_labels,
        softmax_cross_entropy,
        softmax_cross_entropy_with_integer_labels,
        squared_error,
        tree_utils,
        update_infinity_moment,
        update_moment,
        update_moment_per_elem_norm,
    )
    from optax.contrib import (
        COCOBState,
        DAdaptAdamWState,
        DifferentiallyPrivateAggregateState,
        DoGState,
        DoWGState,
        GaLoreState,
        HutchinsonState,
        MadgradState,
        MechanicState,
        MomoAdamState,
        MomoState,
        MuonState,
        NormalizeState,
        ProdigyState,
        ReduceLROnPlateauState,
        SAMState,
        ScaleByAdemamixState,
        ScaleBySimplifiedAdEMAMixState,
        ScheduleFreeState,
        SophiaState,
        SplitRealAndImaginaryState,
    )
    from optax.schedules import (
        StatefulSchedule,
    )
    from optax.transforms import (
        ConditionFn,
    )

__all__ = [
    "AdaptiveGradClipState", "AddDecayedWeightsState", "AddNoiseState", "ApplyEvery", "ApplyIfFiniteState",
    "COCOBState", "ClipByGlobalNormState", "ClipState", "ConditionFn", "ConditionallyMaskState",
    "ConditionallyTransformState", "DAdaptAdamWState", "DifferentiallyPrivateAggregateState", "DoGState",
    "DoWGState", "EmaState", "EmptyState", "FactoredState", "GaLoreState", "GradientTransformation",
    "GradientTransformationExtraArgs", "HutchinsonState", "InjectHyperparamsState",
    "InjectStatefulHyperparamsState", "LookaheadState", "MadgradState", "MaskOrFn", "MaskedNode", "MaskedState",
    "MechanicState", "MomoAdamState", "MomoState", "MonitorState", "MultiStepsState", "MultiTransformState",
    "MuonState", "NonNegativeParamsState", "NormalizeState", "OptState", "Params", "PartitionState",
    "ProdigyState", "ReduceLROnPlateauState", "SAMState", "ScalarOrSchedule", "ScaleByAdaDeltaState",
    "ScaleByAdamState", "ScaleByAdanState", "ScaleByAdemamixState", "ScaleByAmsgradState",
    "ScaleByBacktrackingLinesearchState", "ScaleByBeliefState", "ScaleByLBFGSState", "ScaleByLionState",
    "ScaleByNovogradState", "ScaleByRStdDevState", "ScaleByRmsState", "ScaleByRpropState", "ScaleByRssState",
    "ScaleBySM3State", "ScaleByScheduleState", "ScaleBySimplifiedAdEMAMixState", "ScaleByTrustRatioState",
    "ScaleByZoomLinesearchState", "ScaleState", "Schedule", "ScheduleFreeState", "ShouldSkipUpdateFunction",
    "SnapshotState", "SophiaState", "SplitRealAndImaginaryState", "StatefulSchedule", "TraceState",
    "TransformInitFn", "TransformUpdateExtraArgsFn", "TransformUpdateFn", "Updates", "WrappedSchedule",
    "ZeroNansState", "ZoomLinesearchInfo", "assignment", "bias_correction", "convex_kl_divergence",
    "cosine_distance", "cosine_similarity", "ctc_loss", "ctc_loss_with_forward_probs", "experimental",
    "generalized_kl_divergence", "hinge_loss", "huber_loss", "init_empty_state", "kl_divergence", "l2_loss",
    "log_cosh", "losses", "matrix_inverse_pth_root", "microbatch", "microbatching", "multi_normal", "nnls",
    "ntxent", "perturbations", "power_iteration", "projections", "safe_increment", "safe_int32_increment",
    "safe_norm", "safe_root_mean_squares", "safe_softmax_cross_entropy", "scale_gradient", "second_order",
    "sigmoid_binary_cross_entropy", "sigmoid_focal_loss", "smooth_labels", "softmax_cross_entropy",
    "softmax_cross_entropy_with_integer_labels", "squared_error", "tree_utils", "update_infinity_moment",
    "update_moment", "update_moment_per_elem_norm",
]  # fmt: skip

NAMES = frozenset(__all__) | {"monte_carlo"}  # of releases before 0.2.7; optax says since when it is deprecated

if not TYPE_CHECKING:  # what `from gradtx import *` gives: no name that this release lacks, none that warns
    FOUND = {name for home in (optax, optax.contrib, optax.schedules, optax.transforms) for name in dir(home)}
    __all__ = [name for name in __all__ if name in FOUND]


def finder(module: str) -> Callable[[str], Any]:
    """Return the `__getattr__` of a module of gradtx that stands for one of optax, such as "contrib"; "" is the top.

    It finds the names above in optax, and what stands at the top of gradtx if optax has it in that module too, such as
    a wrapper in optax.schedules. Anything else is an AttributeError.
    """
    theirs = getattr(optax, module) if module else optax
    dotted = f".{module}" if module else ""
    # at the top of gradtx stands what optax has in one of its modules too
    homes = [theirs] if module else [optax, optax.contrib, optax.schedules, optax.transforms]

    def find(name: str) -> Any:
        home = next((home for home in homes if name in NAMES and name in dir(home)), None)
        if home is not None or (name in NAMES and not module):
            return getattr(home or optax, name)  # optax says what became of a name that is gone
        top = vars(sys.modules["gradtx"])
        if name in top and name in dir(theirs) and not name.startswith("_"):
            return top[name]
        known = not name.startswith("_") and name in dir(theirs)
        hint = f"; optax has it: import optax, and use optax{dotted}.{name}" if known else ""
        raise AttributeError(f"module 'gradtx{dotted}' has no attribute {name!r}{hint}")

    return find
