import pytest

from undiffuse.training.learning_rate import factor


def curve(ends, warmup, decay):
    return [factor(step, ends, warmup, decay) for step in range(ends[-1])]


def test_it_rises_stays_and_falls():
    rates = curve((100,), warmup=0.1, decay=0.5)
    assert rates[:10] == pytest.approx([(i + 1) / 11 for i in range(10)])
    assert set(rates[10:50]) == {1.0}
    assert rates[50:] == pytest.approx([(50 - i) / 51 for i in range(50)])


def test_decay_over_the_whole_run_never_reaches_zero_before_its_end():
    rates = curve((100,), warmup=0.0, decay=1.0)
    assert rates == sorted(rates, reverse=True)
    assert 0 < rates[-1] < 0.01 < 0.98 < rates[0] <= 1


def test_an_extension_starts_at_the_peak_without_warming_up():
    rates = curve((40, 60), warmup=0.5, decay=0.5)
    assert rates[:40] == curve((40,), warmup=0.5, decay=0.5)
    assert rates[40:] == curve((20,), warmup=0.0, decay=0.5)
