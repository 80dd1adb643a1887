"""MaxText's console; its metrics file is JSON, one record a line."""

from gradtx.diagnosis.read.formats.text import text_format

FORMAT = text_format(
    "MaxText",
    line=r"completed step: (?P<step>\d+), (?P<pairs>.*\bloss: .*)",
    example="""completed step: 0, seconds: 40.301, TFLOP/s/device: 3.112, Tokens/s/device: 203.271, \
total_weights: 65536, loss: 10.869
completed step: 1, seconds: 0.921, TFLOP/s/device: 136.180, Tokens/s/device: 8894.103, \
total_weights: 65530, loss: 10.864""",
)
