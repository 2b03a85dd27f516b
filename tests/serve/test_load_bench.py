"""The load benchmark: its other schedulers answer as the library does, and its arithmetic is right."""

import threading

import pytest
from served_model import MODEL

from benchmarks.serve.load import FACTOR, _narrow, _next
from benchmarks.serve.measure import judge, percentile, waits
from benchmarks.serve.mix import SHARES, Expected, arrivals, pool
from benchmarks.serve.page import PAGE, page
from benchmarks.serve.policies import SYSTEMS, Scheduled
from benchmarks.serve.soak import slope
from undiffuse.serve.engine import Limits
from undiffuse.serve.job import Done, Failed, Job


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_system_answers_as_the_library_does(system):
    engine, ended, results = Scheduled(Limits(rows=40)), threading.Event(), {}
    engine.system, together = system, []
    choose = engine._choose

    def chosen():
        found = choose()
        if found:
            together.append([(job.name, int(job.canvas.step.max())) for job in found])
        return found

    engine._choose = chosen

    def told(name):
        def tell(message):
            if isinstance(message, Done | Failed):
                results[name] = message
                if len(results) == 5:
                    ended.set()

        return tell

    for n in range(5):
        make = lambda _, n=n: MODEL.calls.generate("The", length=3 + 4 * n, seed=n)  # noqa: E731
        engine.submit(Job(str(n), make, told(n)))
    engine.start()
    assert ended.wait(60)
    assert engine.stop(5)
    for n in range(5):
        assert results[n].result[0] == MODEL.generate("The", length=3 + 4 * n, seed=n)
    names = [[name for name, _ in jobs] for jobs in together]
    if system == "alone":
        assert all(len(jobs) == 1 for jobs in names)
        assert [jobs[0] for jobs in names] == sorted(jobs[0] for jobs in names)
    if system == "equal":
        assert all(len({step for _, step in jobs}) == 1 for jobs in together)
    if system == "static":
        first = set(names[0])
        left = next(tick for tick, jobs in enumerate(names) if not set(jobs) <= first)
        assert all(not set(jobs) & first for jobs in names[left:])


def test_arrivals_are_one_list_at_every_rate():
    slow, fast = arrivals(50, 2.0, 100.0), arrivals(50, 8.0, 25.0)
    assert [which for _, which in slow] == [which for _, which in fast]
    assert [at for at, _ in slow] == pytest.approx([4 * at for at, _ in fast])
    assert len(arrivals(50, 5.0, 2000.0)) == pytest.approx(10_000, rel=0.05)


def test_the_pool_has_the_shares_of_the_mix():
    kinds = [each.kind for each in pool(100)]
    assert {kind: kinds.count(kind) for kind in SHARES} == SHARES
    assert pool(100) == pool(100)
    assert len({str(each) for each in pool(100)}) == 100


def test_answers_are_judged():
    expected = [Expected("a", 1.0), Expected("b", 1.0)]
    records = [
        {"which": 0, "text": "a", "fate": None, "finishes": 1, "planned": 0.0, "first": 0.5, "ended": 1.0},
        {"which": 1, "text": "x", "fate": None, "finishes": 2, "planned": 1.0, "first": 1.5, "ended": 4.0},
        {"which": 1, "text": None, "fate": None, "finishes": 0, "planned": 1.0, "first": 2.0, "ended": 2.0},
        {"which": 1, "text": None, "fate": "vanish", "finishes": 0, "planned": 1.0, "first": 2.0, "ended": 2.0},
    ]
    found = judge(records, expected)
    assert (found.wrong, found.lost, found.twice) == ([(1, "x")], 1, 1)
    assert waits(records[:2]) == {
        "first p50": 0.5, "first p95": 0.5, "first p99": 0.5, "all p50": 3.0, "all p95": 3.0, "all p99": 3.0
    }  # fmt: skip


def test_percentiles_and_slopes():
    assert percentile(range(100), 0.95) == 95
    assert slope([(0.0, 5.0), (1.0, 7.0), (3.0, 11.0)]) == pytest.approx(2.0)


def test_a_search_ends_within_half_a_factor_of_the_limit():
    for limit in (-6.2, 0.3, 9.9):
        low = high = None
        while not _narrow(low, high):
            step = _next("ours", low, high)
            low, high = (step, high) if step <= limit else (low, step)
        assert low <= limit < high <= low + 0.5
    assert FACTOR > 1


def test_the_page_is_what_the_results_say():
    text = page()
    assert not text or PAGE.read_text(encoding="utf-8") == text, "run: python -m benchmarks.serve page"
