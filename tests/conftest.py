"""What every test shares: measurements stay in a folder of the session, and no clock fails it."""

import pytest
from hypothesis import settings

settings.register_profile("agora", deadline=None)  # a busy machine is no counterexample
settings.load_profile("agora")


@pytest.fixture(autouse=True, scope="session")
def _cache_of_the_session(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGORA_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
