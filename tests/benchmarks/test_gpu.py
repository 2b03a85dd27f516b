"""The script for GPUs, as it runs where there is none."""

import json

import pytest

from benchmarks import gpu


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:flex_attention called without")
def test_everything_runs_tiny_and_nothing_fails(tmp_path, capsys):
    gpu.main(["--smoke", "--out", str(tmp_path)])
    sections = json.loads((tmp_path / "gpu.json").read_text())["sections"]
    assert set(sections) == set(gpu.SECTIONS)
    assert [row for rows in sections.values() for row in rows if "failed" in row] == []
    assert {row["what"] for row in sections["recipes"]} == {"ar", "mdlm", "plaid"}
    assert all(row["most off"] < 0.05 for row in sections["recipes"]), "bfloat16 has 3 digits"
    assert all(row["runs"] == row["equal to the processor's"] for row in sections["golden"])
    page = (tmp_path / "gpu.md").read_text()
    assert "| LLaDA 8B: confidence, cache dual |" in page
    assert "| a training step of 2 x 16 tokens |" in page


def test_a_section_that_fails_is_written_down_and_the_rest_goes_on():
    def fails() -> dict:
        raise RuntimeError("out of memory\nand much more")

    assert gpu.attempt("a pass", fails) == {"what": "a pass", "failed": "RuntimeError: out of memory"}
    assert gpu.tables([{"what": "a", "ms": 1.0}, {"what": "b", "ms": 2.0}, {"what": "c", "failed": "x"}]) == [
        "| what | ms |", "|---|---|", "| a | 1 |", "| b | 2 |", "", "| what | failed |", "|---|---|", "| c | x |", "",
    ]  # fmt: skip


def test_without_a_gpu_the_script_says_how_to_try_it(capsys, monkeypatch):
    monkeypatch.setattr(gpu.torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as ended:
        gpu.main([])
    assert ended.value.code == 2
    assert "there is no GPU; --smoke runs everything tiny" in capsys.readouterr().err
