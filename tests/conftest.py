"""Settings for all tests."""

from hypothesis import settings

# no timed assertions: a busy machine is not a failure
settings.register_profile("plugbench", deadline=None)
settings.load_profile("plugbench")
