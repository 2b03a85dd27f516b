"""Numbers as they are shown."""

import math

from undiffuse.figures import figure, finite


def test_large_numbers_are_written_by_their_power_of_ten():
    numbers = (2.70351, 999_999.4, 1e6, -1.2345e190, math.inf, math.nan, None)
    assert [figure(number, 2) for number in numbers] == ["2.70", "999999.40", "1.00e+06", "-1.23e+190", "inf", "–", "–"]


def test_json_has_no_number_that_is_not_finite():
    assert finite({"a": [1, math.inf, (2.5, math.nan)], "b": "inf"}) == {"a": [1, None, [2.5, None]], "b": "inf"}
