"""torchtune's disk logger."""

from gradtx.diagnosis.read.formats.text import text_format

FORMAT = text_format(
    "torchtune",
    line=r"^Step (?P<step>\d+) \| (?P<pairs>.*loss:.*)",
    example="""Step 1 | loss:1.5421 lr:2e-06 tokens_per_second_per_gpu:1206.4 grad_norm:7.31 peak_memory_active:16.2
Step 2 | loss:1.4310 lr:4e-06 tokens_per_second_per_gpu:1218.9 grad_norm:6.80 peak_memory_active:16.2""",
)
