"""Run the contracts and print the table of row x contract."""

import sys
from pathlib import Path

import pytest

sys.exit(pytest.main([str(Path(__file__).with_name("test_contracts.py")), "-q", "--no-header", *sys.argv[1:]]))
