"""Errors a person may read, on their way between processes."""

import pickle

import pytest

from pipeline_utils import errors
from pipeline_utils.engine.events import LanesDisagree
from pipeline_utils.engine.stops import Stopped
from pipeline_utils.errors import InputError, UserError

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, UserError)]


@pytest.mark.parametrize("kind", [*KINDS, Stopped, LanesDisagree])
def test_every_error_of_ours_survives_pickle(kind):
    error = kind("seeds", "0-x" * 99, "whole numbers") if kind is InputError else kind("It did not work.")
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(error, protocol))
        assert type(again) is kind
        assert str(again) == str(error)
        assert str(pickle.loads(pickle.dumps(again))) == str(error)


@pytest.mark.parametrize("value", [lambda: None, object(), open, {"a": lambda: 0}, None, float("nan"), 10**99])
def test_an_error_survives_pickle_whatever_was_refused(value):
    error = InputError("picture", value, "a PNG made here")
    again = pickle.loads(pickle.dumps(error))
    assert (again.field, again.limit, str(again)) == ("picture", "a PNG made here", str(error))
