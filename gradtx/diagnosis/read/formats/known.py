"""The table of formats: the first that recognises a log reads it.

A new one is a file like `nanogpt.py`, a row here, and its example: the tests read the example of every row.
"""

from gradtx.diagnosis.read.formats import (
    csv_table,
    fairseq,
    json_records,
    maxtext,
    megatron,
    mlflow,
    nanogpt,
    prose,
    tensorboard,
    torchtune,
)
from gradtx.diagnosis.read.formats.table import Format

FORMATS: tuple[Format, ...] = (
    tensorboard.FORMAT,
    nanogpt.FORMAT,
    maxtext.FORMAT,
    megatron.FORMAT,
    torchtune.FORMAT,
    fairseq.FORMAT,
    mlflow.FORMAT,
    json_records.FORMAT,  # also the dicts that Hugging Face's Trainer and metaseq print
    prose.FORMAT,
    csv_table.FORMAT,  # reads, or says why not, what no other does
)
