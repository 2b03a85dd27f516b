"""The page on fine-tuning: its pairs are learned by its Python."""

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "finetuning.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_pairs_are_learned_as_the_page_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pairs = re.findall(r'^\{"prompt".*\}$', PAGE, re.MULTILINE)
    assert len(pairs) == 2
    Path("pairs.jsonl").write_text("\n".join(pairs * 2) + "\n")
    (block,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    space: dict = {}
    exec(compile(block, "finetuning.md", "exec"), space)
    assert space["answer"][0].text.startswith("What do you call a baby cat?")
    changed = space["run"].model.manifest["training"]["perplexity"]
    assert changed["after"] < changed["before"]


def test_every_setting_of_the_page_is_one():
    from undiffuse.training.configuration import Configuration, flat

    known = flat(Configuration().to_dict())
    named = re.findall(r"`((?:data|lora|training|model)\.\w+)", PAGE)
    assert len(named) > 8
    assert set(named) <= set(known)
