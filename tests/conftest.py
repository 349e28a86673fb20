"""What every test shares: measurements of models stay in a folder of the session."""

import pytest


@pytest.fixture(autouse=True, scope="session")
def _cache_of_the_session(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGORA_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
