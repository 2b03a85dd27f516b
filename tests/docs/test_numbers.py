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
