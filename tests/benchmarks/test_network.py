"""The operations that the benchmarks charge are those that torch counts."""

import json

import pytest
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import report
from benchmarks.network import flops, library_parts
from undiffuse.models.transformer import TransformerConfig

NETWORK = TransformerConfig(rows=40, width=32, depth=2, heads=2, context=16)


def test_flops_of_a_step_are_what_torch_counts_without_the_optimizer():
    gradient, _ = library_parts(NETWORK, 16)
    with FlopCounterMode(display=False) as counter:
        gradient()
    # 16 rows of 1 to 16 masked tokens: the head sees exactly half a token more than half of a row on average
    assert counter.get_total_flops() == pytest.approx(flops(NETWORK, 16), rel=1e-6)


def test_a_report_holds_the_rows_it_was_given(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    report.write("something", "What was measured.", 1, [{"size": "1M", "share": 0.51234}])
    result = json.loads((tmp_path / "something.json").read_text())
    assert result["rows"] == [{"size": "1M", "share": 0.51234}]
    assert result["machine"]["threads"] == 1
    assert "| 1M | 0.512 |" in (tmp_path / "something.md").read_text()


def test_interleaved_actions_take_turns():
    order = []
    times = report.interleaved([lambda: order.append("a"), lambda: order.append("b")], rounds=2)
    assert "".join(order) == "ab" + "abab"
    assert [len(mine) for mine in times] == [2, 2]
