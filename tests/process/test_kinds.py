"""Components by name: what is refused, and with which words."""

import pytest

from undiffuse.errors import UserError
from undiffuse.kinds import DESTINATIONS, SCHEDULES, describe, kind_of
from undiffuse.process.destinations.growing_mask import GrowingMask
from undiffuse.process.destinations.mix import Mix
from undiffuse.process.schedules.geometric import Geometric
from undiffuse.process.schedules.gidd import Gidd
from undiffuse.process.schedules.polynomial import Polynomial


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_names_of_two_curves_are_refused_with_both(name: str) -> None:
    with pytest.raises(UserError, match=rf"schedule '{name}' names two curves in the field: use 'one-minus-"):
        SCHEDULES.build({"kind": name})


def test_the_nearest_name_is_suggested() -> None:
    with pytest.raises(UserError, match="there is no destination 'unifrom'; did you mean 'uniform'"):
        DESTINATIONS.build({"kind": "unifrom"})
    with pytest.raises(UserError, match="schedule 'polynomial' has no parameter 'powr'; did you mean 'power'"):
        SCHEDULES.build({"kind": "polynomial", "powr": 2})


def test_names_and_parameters_come_back() -> None:
    for family in (SCHEDULES, DESTINATIONS):
        for kind in family.kinds:
            component = family.build({"kind": kind})
            assert kind_of(component) == kind
            assert family.build(describe(component)) == component
    assert describe(Polynomial(3.0)) == {"kind": "polynomial", "power": 3.0}


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Polynomial(0.0), "power must be positive, not 0.0"),
        (lambda: Geometric(1.0, 0.5), "need 0 < sigma_min < sigma_max, not 1.0 and 0.5"),
        (lambda: Gidd(1.0), r"uniform_share must lie in \[0, 1\), not 1.0"),
        (lambda: Gidd(0.2, 0.0), "shape must be positive, not 0.0"),
        (lambda: Mix(1.0), "strictly between 0 .destination 'mask'. and 1"),
        (lambda: GrowingMask(0.0), "strictly between 0 and 1, not 0.0"),
    ],
)
def test_parameters_out_of_range(build, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        build()
