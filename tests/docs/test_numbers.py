"""Numbers in the README are those of the result files."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_readme_quotes_the_result_file():
    rows = json.loads((ROOT / "benchmarks/results/shakespeare.json").read_text())["rows"]
    bound, ngram, model, filler = rows
    readme = (ROOT / "README.md").read_text()
    error = (bound["high"] - bound["low"]) / 2 / 1.96
    assert f"at most {bound['value']:.3f} ± {error:.3f} | {ngram['value']:.3f} |" in readme
    shares = [f"{row['value']:.1%} ({row['low']:.1%} to {row['high']:.1%})" for row in (model, filler)]
    assert " | ".join(shares).replace("%", " %").replace(" % to", " to").replace(" %)", ")") in readme


def test_blanks_of_a_causal_model_are_quoted():
    result = json.loads((ROOT / "benchmarks/results/causal_blanks.json").read_text())
    shares = {
        row["from"]: f"{100 * row['right']:.1f} % ({100 * row['low']:.1f} to {100 * row['high']:.1f})"
        for row in result["rows"]
    }
    assert f"| {shares['left']} | {shares['both']} |" in (ROOT / "README.md").read_text()
    page = (ROOT / "docs/holes.md").read_text()
    assert all(share in page for share in shares.values())
    assert f"{result['rows'][0]['blanks']} words" in page
    assert len(result["works"]) == 32
