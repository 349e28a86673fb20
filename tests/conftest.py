"""What every test shares: one thread for linear algebra, a cache of the session, no deadlines."""

import os

# Before NumPy is imported, and for processes that tests start. The matrices here are small: two
# threads that wait for each other took nine times the processor time of one.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
from hypothesis import settings

settings.register_profile("agora", deadline=None)  # a busy machine is no counterexample
settings.load_profile("agora")


@pytest.fixture(autouse=True, scope="session")
def _cache_of_the_session(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGORA_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
