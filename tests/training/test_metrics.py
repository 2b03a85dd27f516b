import pytest

from undiffuse.errors import UserError
from undiffuse.training.metrics import MetricsFile, read_metrics


def test_lines_beyond_the_position_are_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with MetricsFile(path) as metrics:
        metrics.write({"step": 1})
        position = metrics.settle()
        metrics.write({"step": 2})
    with MetricsFile(path, position) as metrics:
        metrics.write({"step": 3})
        assert metrics.settle() == path.stat().st_size
    assert read_metrics(path) == [{"step": 1}, {"step": 3}]


def test_two_writers_are_one_too_many(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with MetricsFile(path) as metrics:
        metrics.write({"step": 1})
        with pytest.raises(UserError, match="being written by another process"):
            MetricsFile(path)
    assert read_metrics(path) == [{"step": 1}]
    MetricsFile(path).__exit__(None, None, None)


def test_a_file_that_lost_lines_is_refused(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("{}\n")
    with pytest.raises(UserError, match="shorter than its checkpoint says"):
        MetricsFile(path, 100)
