"""Tests do check shapes: of the first calls of a function, of some later ones, and of all where that is asked for."""

import jaxtyping
import pytest
import torch
from shapes import FIRST, OF_THE_REST, Checks

from undiffuse.types import State


def test_a_wrong_shape_is_found():
    with pytest.raises(jaxtyping.TypeCheckError):
        State(torch.zeros(2))  # ids are whole numbers


@pytest.mark.parametrize(("every", "checked"), [(False, FIRST + 1), (True, OF_THE_REST)])
def test_first_calls_are_checked_and_some_later_ones(every, checked):
    checks, seen = Checks(), []
    checks.every = every
    call = checks.sometimes(lambda: seen.append("plain"), lambda plain: lambda: seen.append("checked"))
    for _ in range(OF_THE_REST):
        call()
    assert seen.count("checked") == checked
    assert set(seen[:FIRST]) == {seen[-1]} == {"checked"}
    checks.begin("another")
    call()
    assert seen[-1] == "checked", "every test begins anew"
