"""Settings for all tests."""

import gc
import os
import sys

from hypothesis import settings

from backends import sealing

# no timed assertions: a busy machine is not a failure
settings.register_profile("plugbench", deadline=None)
settings.load_profile("plugbench")

# without bytecode on disk each process that a test starts, and each worker, compiles everything again
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# a hash of a secret that takes a thousandth; as shipped: tests/backends/test_sealing.py
sealing.SCRYPT_N = 2**4

# while tests are collected nothing goes away, and what they are stays to the end: not to be looked through again
gc.disable()


def pytest_collection_finish() -> None:
    gc.enable()
    gc.collect()
    gc.freeze()
