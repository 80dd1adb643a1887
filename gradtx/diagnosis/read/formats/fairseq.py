"""fairseq's console; with `--log-format json`, and in metaseq, its records are dicts and read as such."""

from gradtx.diagnosis.read.formats.text import text_format

FORMAT = text_format(
    "fairseq",
    line=r"\bepoch\s+\d+:\s+\d+\s*/\s*\d+ (?P<pairs>.*\bloss=.*)",
    example="""2026-06-13 17:31:08 | INFO | train_inner | epoch 001:    100 / 282 loss=12.147, nll_loss=11.936, \
ppl=3923.6, wps=72384.3, ups=1.21, wpb=59997.9, bsz=2186.3, num_updates=100, lr=1.25e-05, gnorm=2.489, clip=0, \
loss_scale=128, train_wall=83
2026-06-13 17:32:31 | INFO | valid | epoch 001 | valid on 'valid' subset | loss 11.2 | num_updates 282""",
)
