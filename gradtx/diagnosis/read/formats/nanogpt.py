"""nanoGPT's console. Its lines `step 0: train loss ..., val loss ...` are evaluations and are passed over."""

from gradtx.diagnosis.read.formats.text import text_format

FORMAT = text_format(
    "nanoGPT",
    line=r"^\s*iter (?P<step>\d+): (?P<pairs>loss .*)",
    example="""step 0: train loss 10.9876, val loss 10.9854
iter 0: loss 10.9896, time 33018.45ms, mfu -100.00%
iter 10: loss 8.1204, time 251.32ms, mfu 37.21%""",
)
