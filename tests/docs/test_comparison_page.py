"""The page that compares recipes is what the result files say, and whole for any study."""

import json
import re

import pytest

from benchmarks.processes_page import PAGE, copy, page, write


def study(out, recipes=("mdlm", "udlm", "gidd", "xdlm", "ar")):
    """The files of a small study with two seeds."""
    (out / "cells").mkdir(parents=True)
    (out / "runs").mkdir()
    asked = {"minutes": None, "steps": 100, "threads": 1, "blanks": 10, "windows": 2, "share": 0.1, "repair_steps": 4}
    (out / "study.json").write_text(json.dumps(asked))
    text = {"surprise": 2.3, "error": None, "perplexity": 90.0, "entropy": 4.0, "repetition": 0.0}
    for number, recipe in enumerate(recipes):
        for seed in range(2):
            bits = 2.5 + 0.1 * number + 0.02 * seed
            sample = {"nfe": 8.0, "strategy": "ancestral", "steps": 8, **text, "surprise": bits}
            counts = {"planted": 20, "repaired": 9 - number, "moved": 3, "sound": 180, "damaged": seed}
            training = {"steps": 100, "seconds": 9.0, "tokens": 204800, "parameters": 10000, "loss_is_bound": True}
            cell = {
                "recipe": recipe,
                "seed": seed,
                "training": training | {"tokenizer": {"kind": "bpe"}, "curve": [[50, 4.5, 4.0], [100, 9.0, bits]]},
                "likelihood": {"kind": "bound", "bits_per_byte": {"mean": bits, "stderr": 0.01}, "note": ""},
                "generation": [sample],
                "text": text,
                "repair": [{"method": "relook", "share": 0.1, "nfe": 4, **counts}],
                "infill": {"correct": 4, "count": 10},
                "refused": {},
            }
            (out / "cells" / f"{recipe}-{seed}.json").write_text(json.dumps(cell))
    return out


def test_the_page_is_written_from_the_result_files():
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m benchmarks.processes_page"
    for image in re.findall(r"\]\((images/[^)]+)\)", page()):
        assert (PAGE.parent / image).exists(), image


def test_a_page_has_its_images_and_the_answer_by_hand(tmp_path):
    pytest.importorskip("matplotlib")
    found, docs = tmp_path / "found", tmp_path / "docs"
    copy(study(tmp_path / "study"), found)
    (found / "about.md").write_text("Masks are ahead by one tenth of a bit.\n")
    write(found, docs)
    text = (docs / "comparison.md").read_text()
    assert text == page(found)
    images = re.findall(r"\]\((images/[^)]+)\)", text)
    assert {f"images/{file.name}" for file in (docs / "images").iterdir()} == set(images)
    assert len(images) == 5
    assert "Masks are ahead by one tenth of a bit." in text
    assert text.count("\n# ") + text.startswith("# ") == 1
    assert "| bits/byte | 2.510 ± 0.010 | 2.610 ± 0.010 | 2.710 ± 0.010 | 2.810 ± 0.010 |" in text
    assert not (found / "runs").exists()


def test_cells_that_are_gone_are_not_kept(tmp_path):
    found = tmp_path / "found"
    copy(study(tmp_path / "one"), found)
    copy(study(tmp_path / "other", ("mdlm", "ar")), found)
    assert sorted(file.stem for file in (found / "cells").iterdir()) == ["ar-0", "ar-1", "mdlm-0", "mdlm-1"]
    assert "Masked, uniform" not in page(found)
