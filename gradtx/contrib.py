"""optax.contrib's names, so that one changed import is enough; all of them stand at the top of gradtx too."""

from typing import TYPE_CHECKING

from gradtx import optax_names
from gradtx._core.arrays.matrices import MuonDimensionNumbers
from gradtx.factors.hutchinson import hutchinson_estimator_diag_hessian
from gradtx.limits.normalize import normalize
from gradtx.limits.privacy import differentially_private_aggregate
from gradtx.methods.acprop import acprop, scale_by_acprop
from gradtx.methods.ademamix import ademamix, scale_by_ademamix
from gradtx.methods.adopt import adopt, scale_by_adopt
from gradtx.methods.cocob import cocob, scale_by_cocob
from gradtx.methods.dadapt_adamw import dadapt_adamw
from gradtx.methods.dog import dog
from gradtx.methods.dowg import dowg
from gradtx.methods.dpsgd import dpsgd
from gradtx.methods.galore import GaLoreDimensionNumbers, galore, scale_by_galore
from gradtx.methods.madgrad import madgrad, scale_by_madgrad
from gradtx.methods.momo import momo
from gradtx.methods.momo_adam import momo_adam
from gradtx.methods.muon import muon, scale_by_muon
from gradtx.methods.prodigy import prodigy
from gradtx.methods.simplified_ademamix import scale_by_simplified_ademamix, simplified_ademamix
from gradtx.methods.sophia import sophia
from gradtx.methods.split_real_and_imaginary import split_real_and_imaginary
from gradtx.schedules.plateau import reduce_on_plateau
from gradtx.wrappers.mechanize import mechanize
from gradtx.wrappers.sam import sam
from gradtx.wrappers.schedule_free import schedule_free, schedule_free_eval_params
from gradtx.wrappers.schedule_free_methods import schedule_free_adamw, schedule_free_sgd

if TYPE_CHECKING:
    from gradtx.optax_names import (
        COCOBState,
        DAdaptAdamWState,
        DifferentiallyPrivateAggregateState,
        DoGState,
        DoWGState,
        HutchinsonState,
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
else:
    __getattr__ = optax_names.finder("contrib")

__all__ = [
    "COCOBState",
    "DAdaptAdamWState",
    "DifferentiallyPrivateAggregateState",
    "DoGState",
    "DoWGState",
    "GaLoreDimensionNumbers",
    "HutchinsonState",
    "MechanicState",
    "MomoAdamState",
    "MomoState",
    "MuonDimensionNumbers",
    "MuonState",
    "NormalizeState",
    "ProdigyState",
    "ReduceLROnPlateauState",
    "SAMState",
    "ScaleByAdemamixState",
    "ScaleBySimplifiedAdEMAMixState",
    "ScheduleFreeState",
    "SophiaState",
    "SplitRealAndImaginaryState",
    "acprop",
    "ademamix",
    "adopt",
    "cocob",
    "dadapt_adamw",
    "differentially_private_aggregate",
    "dog",
    "dowg",
    "dpsgd",
    "galore",
    "hutchinson_estimator_diag_hessian",
    "madgrad",
    "mechanize",
    "momo",
    "momo_adam",
    "muon",
    "normalize",
    "prodigy",
    "reduce_on_plateau",
    "sam",
    "scale_by_acprop",
    "scale_by_ademamix",
    "scale_by_adopt",
    "scale_by_cocob",
    "scale_by_galore",
    "scale_by_madgrad",
    "scale_by_muon",
    "scale_by_simplified_ademamix",
    "schedule_free",
    "schedule_free_adamw",
    "schedule_free_eval_params",
    "schedule_free_sgd",
    "simplified_ademamix",
    "sophia",
    "split_real_and_imaginary",
]
