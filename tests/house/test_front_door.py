"""Every public name of `abm` can be imported from where the front door says."""

import pytest

import abm


@pytest.mark.parametrize("name", sorted(set(abm.__all__) - {"__version__"}))
def test_a_public_name_is_there_and_documented(name):
    assert getattr(abm, name).__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = abm.nonsense
