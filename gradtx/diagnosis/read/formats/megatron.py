"""Megatron-LM, Megatron-DeepSpeed and GPT-NeoX. A line without a loss is of an iteration that was skipped."""

from gradtx.diagnosis.read.formats.text import text_format

FORMAT = text_format(
    "Megatron-LM",
    line=r"\biteration\s+(?P<step>\d+)\s*/\s*\d+ \|(?P<pairs>.*)",
    example=""" [2026-05-01 10:00:00] iteration       10/  500000 | consumed samples:         2560 | \
elapsed time per iteration (ms): 8718.9 | \
learning rate: 1.500E-06 | global batch size:   256 | lm loss: 1.083296E+01 | \
loss scale: 1.0 | grad norm: 22.430 | number of skipped iterations:   0 | number of nan iterations:   0 |""",
    names={"lm loss": "loss", "lm_loss": "loss"},
)
