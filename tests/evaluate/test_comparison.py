"""The comparison of recipes: its arithmetic by hand, and pages that are whole whatever is missing."""

import json
import math
from html.parser import HTMLParser

import pytest

from undiffuse.errors import UserError
from undiffuse.evaluate.infill import Accuracy
from undiffuse.study.comparison import BOUND, ESTIMATE, EXACT, NOT_MINIMIZED, Mean, System, other_tokens, systems
from undiffuse.study.comparison_page import html, markdown, write_pages
from undiffuse.study.comparison_plot import draw, spread
from undiffuse.study.comparison_sections import against, facts, refusals, sections

RECIPES = ("mdlm", "udlm", "gidd", "xdlm", "ar", "cdcd", "sedd-absorb", "d3pm-matrix", "plaid")
ASKED = {
    "text": {"surprise": 2.31, "error": 0.02, "perplexity": 120.4, "entropy": 4.21, "repetition": 0.004}
    | {"samples": 32, "prompt": 32, "length": 96, "order": 5},
    "files": ["text.txt"],
    "minutes": 2.0,
    "steps": None,
    "nfe": [8, 32, 128],
    "samples": 32,
    "length": 96,
    "blanks": 300,
    "windows": 16,
    "share": 0.1,
    "repair_steps": 16,
    "threads": 1,
    "machine": {"platform": "a machine", "cores": 2},
}


def cell(recipe: str, seed: int) -> dict:
    """Numbers of a made-up run: a formula of the recipe's place and of the seed, so that all are different."""
    place = RECIPES.index(recipe)
    bits = 2.4 + 0.11 * place + 0.013 * ((seed * 7 + place * 3) % 5)
    exact, per_byte = recipe == "ar", recipe == "d3pm-matrix"
    final = [(step, 0.13 * step + seed, bits + 3.0 * math.exp(-step / 150)) for step in range(50, 950, 50)]
    made = {
        "recipe": recipe,
        "seed": seed,
        "training": {
            "steps": 900 - 10 * seed,
            "seconds": 118.2 + seed,
            "tokens": 1843200,
            "tokens_per_second": 15600.0 + 100 * place,
            "parameters": 1063680,
            "epochs": 1.7 if per_byte else 5.1,
            "tokenizer": {"kind": "byte", "size": 259} if per_byte else {"kind": "bpe", "size": 1024},
            "objective": "bound",
            "loss_is_bound": recipe != "cdcd",
            "curve": [list(point) for point in final],
        },
        "likelihood": {
            "kind": "exact" if exact else "bound",
            "bits_per_byte": {"mean": bits, "stderr": 0.0 if exact else 0.004 + 0.001 * seed},
            "note": "a bound of 100 steps" if per_byte else "",
        },
        "generation": [
            {
                "nfe": 64.0 if exact else float(steps) - 0.25 * seed,
                "strategy": "left-to-right" if exact else "ancestral",
                "steps": 64 if exact else steps,
                "surprise": bits + 4 / steps,
                "error": 0.05,
                "perplexity": 2 ** (3 * bits),
                "entropy": 3.9 + 0.02 * place + 0.1 / steps,
                "repetition": 0.01 + 0.001 * place,
            }
            for steps in ((64,) if exact else (8, 32, 128))
        ],
        "repair": [
            {
                "method": method,
                "share": 0.1,
                "planted": 400,
                "repaired": 212 - 20 * place + 5 * seed,
                "moved": 80 + seed,
                "sound": 3600,
                "damaged": damaged + 3 * place + seed,
                "nfe": 16,
            }
            for method, damaged in (("reverse", 12), ("relook", 60))
        ],
        "infill": {"correct": 51 + 6 * place + seed, "count": 300},
        "seconds": {"generation": 3.0, "repair": 2.0, "infill": 1.0, "likelihood": 4.0},
        "refused": {},
    }
    if not exact:
        made["likelihood"] |= {"prior": 0.001, "diffusion": bits - 0.002, "reconstruction": 0.001}
    if per_byte:
        made["text"] = {**ASKED["text"], "perplexity": 4.9, "entropy": 2.9}
    else:
        made["text"] = ASKED["text"]
    if exact:
        del made["repair"]
        made["refused"] = {"repair": "a left-to-right model never looks at a token again"}
    return made


def cells() -> list[dict]:
    """Three seeds of each recipe, but one of `plaid`."""
    return [cell(recipe, seed) for recipe in RECIPES for seed in range(3) if recipe != "plaid" or seed == 0]


def of(recipe: str, given: list[dict] | None = None) -> System:
    return next(each for each in systems(cells() if given is None else given) if each.recipe == recipe)


def test_means_and_errors_over_seeds_are_those_of_a_calculation_by_hand():
    mean = Mean.of([(0, 2.0, 0.01), (1, 2.3, 0.02), (2, 2.6, 0.06)])
    assert mean is not None
    assert mean.mean == pytest.approx(2.3)
    # squares 0.09 + 0 + 0.09, over n − 1 = 2, over n = 3
    assert mean.between == pytest.approx(math.sqrt(0.09 / 3))
    assert mean.within == pytest.approx(0.03)
    assert mean.show() == "2.300 ± 0.173"


def test_one_seed_shows_the_error_of_its_draws_and_is_marked():
    mean = Mean.of([(4, 2.5, 0.0125)])
    assert mean is not None
    assert mean.between is None
    assert mean.show() == "2.500 ± 0.013†" or mean.show() == "2.500 ± 0.012†"


def test_an_error_is_never_shown_as_nothing():
    assert Mean.of([(0, 1.0, None), (1, 1.0002, None)]).show() == "1.000 ± <0.001"


@pytest.mark.parametrize("lost", [None, math.nan, math.inf])
def test_a_value_that_is_not_finite_leaves_the_mean(lost):
    assert Mean.of([(0, 1.0, 0.1), (1, lost, 0.1), (2, 3.0, math.inf)]) == Mean({0: 1.0, 2: 3.0}, 0.1)
    assert Mean.of([(0, lost, 0.1)]) is None


def test_differences_are_taken_by_seed():
    one, other = Mean({0: 2.0, 1: 3.0, 2: 9.0}), Mean({0: 1.5, 1: 2.3})
    difference = one.minus(other)
    assert difference is not None
    assert difference.by_seed == pytest.approx({0: 0.5, 1: 0.7})
    assert difference.between == pytest.approx(0.1)  # far below that of either


def test_shares_are_of_pooled_counts_with_wilson_intervals():
    line = of("mdlm").repair[0]
    assert line.repaired.pooled == Accuracy(212 + 217 + 222, 1200)
    assert line.damaged.pooled == Accuracy(12 + 13 + 14, 10800)
    # Wilson by hand: (651 + 1.9208)/1203.8415 ± 1.95996/1203.8415 · √(651·549/1200 + 0.9604)
    middle, half = 652.9207 / 1203.8415, 1.959964 / 1203.8415 * math.sqrt(651 * 549 / 1200 + 0.9603647)
    assert line.repaired.pooled.interval == pytest.approx((middle - half, middle + half), abs=1e-6)
    assert line.repaired.show() == "54.2 % (51.4 to 57.1)"
    assert of("mdlm").infill.pooled == Accuracy(51 + 52 + 53, 900)


def test_net_gain_is_right_tokens_per_planted_error():
    line = of("mdlm").repair[0]
    assert line.net.by_seed == pytest.approx({0: 200 / 400, 1: 204 / 400, 2: 208 / 400})
    assert line.net.show() == "0.510 ± 0.006"


def test_perplexity_is_a_geometric_mean():
    given = [cell("mdlm", seed) for seed in (0, 1)]
    for each, perplexity in zip(given, (10.0, 1000.0), strict=True):
        each["generation"][0]["perplexity"] = perplexity
    assert of("mdlm", given).generation[0].perplexity == pytest.approx(100.0)


def test_evaluations_of_one_number_of_steps_are_averaged():
    assert [(line.steps, line.nfe.mean) for line in of("udlm").generation] == [(8, 7.75), (32, 31.75), (128, 127.75)]


def test_recipes_stand_by_their_bits_and_those_without_last():
    given = cells()
    for each in given:
        if each["recipe"] == "mdlm":
            del each["likelihood"]
    names = [each.recipe for each in systems(given)]
    assert names[-1] == "mdlm"
    assert names[0] == "udlm"


def test_the_kind_of_a_likelihood_says_whether_training_minimized_it():
    assert of("ar").kind == EXACT
    assert of("mdlm").kind == BOUND
    assert of("cdcd").kind == NOT_MINIMIZED
    given = cell("mdlm", 0)
    given["likelihood"]["kind"] = "estimate"
    assert of("mdlm", [given]).kind == ESTIMATE


def test_curves_are_averaged_where_all_seeds_have_been():
    given = [cell("mdlm", seed) for seed in (0, 1)]
    given[0]["training"]["curve"] = [[10, 1.0, 4.0], [20, 2.0, 3.0], [30, 3.0, 2.0]]
    given[1]["training"]["curve"] = [[10, 1.5, 6.0], [20, 2.5, 5.0]]
    system = of("mdlm", given)
    assert system.curve("steps") == [(10.0, 5.0), (20.0, 4.0)]
    # at 1.5, 2 and 2.5 seconds one run is at 3.5, 3, 2.5 and the other at 6, 5.5, 5
    assert system.curve("seconds") == [(1.5, 4.75), (2.0, 4.25), (2.5, 3.75)]


def test_another_tokenizer_is_noticed_and_said():
    assert other_tokens(systems(cells())) == ["d3pm-matrix"]
    generation = next(part for part in sections(ASKED, systems(cells())) if part.name == "generation")
    assert "Another tokenizer: d3pm-matrix;" in generation.mind


def test_the_budget_says_what_compares():
    parts = {part.name: part for part in sections(ASKED, systems(cells()))}
    assert "2 minutes of wall clock on 1 thread of one machine" in parts["likelihood"].measured
    steps = {**ASKED, "minutes": None, "steps": 500}
    assert "500 steps" in sections(steps, systems(cells()))[0].measured


def test_refused_parts_are_listed_once_with_their_reason():
    assert refusals(systems(cells())) == ["ar, repair: a left-to-right model never looks at a token again"]


def test_a_run_without_a_finite_bound_is_named():
    given = cells()
    given[0]["likelihood"]["bits_per_byte"]["mean"] = math.nan
    assert "mdlm, likelihood: seed 0 has no finite value, and is not in the mean" in refusals(systems(given))
    assert "nan" not in markdown(ASKED, given, {}).lower()


def test_differences_from_the_first_of_some_recipes():
    table = against(systems(cells()), ("mdlm", "udlm", "gidd", "xdlm"))
    rows = {row[0]: row[1:] for row in table.rows}
    assert table.heads == ("", "mdlm", "udlm", "gidd", "xdlm")
    by_seed = [of("udlm").bits.by_seed[seed] - of("mdlm").bits.by_seed[seed] for seed in range(3)]
    assert rows["difference from mdlm"][1].startswith(f"+{sum(by_seed) / 3:.3f} ± ")
    assert rows["reverse, 10 % wrong: repaired"][0] == "54.2 % (51.4 to 57.1)"
    assert all(len(row) == 5 for row in table.rows)


def test_the_real_text_stands_first_once_per_tokenizer():
    generation = next(part for part in sections(ASKED, systems(cells())) if part.name == "generation")
    names = [row[0] for row in generation.tables[0].rows[:3]]
    assert names == ["the text itself", "the text itself, for d3pm-matrix", "mdlm"]
    assert generation.tables[0].rows[0][4:] == ("2.310 ± 0.020", "120.4", "4.21", "0.004")


def test_recipes_that_were_not_run_are_left_out_of_the_table():
    assert against(systems(cells()), ("mdlm", "other")).heads == ("", "mdlm")


def test_the_real_text_is_asked_by_its_numbers_and_not_repeated_among_the_facts():
    assert ("machine, cores", "2") in facts(ASKED)
    assert ("nfe", "8, 32, 128") in facts(ASKED)
    assert not any(name.startswith("text") for name, _ in facts(ASKED))
    assert facts({"text": {"digest": "ab"}}) == [("text, digest", "ab")]


class Balanced(HTMLParser):
    """Every tag is closed, in order, and every id is there once."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.text: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]
        self.links += [value for name, value in attrs if name in ("href", "src", "xlink:href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)


def read(page: str) -> Balanced:
    parser = Balanced()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


def test_the_page_is_whole_and_needs_nothing_else(tmp_path):
    pytest.importorskip("matplotlib")
    write_pages(tmp_path, ASKED, cells(), plots=True)
    page = (tmp_path / "index.html").read_text()
    parser = read(page)
    assert len(parser.ids) == len(set(parser.ids))
    assert set(parser.links) <= {f"#{name}" for name in parser.ids}
    assert page.count("<svg") == 5
    assert "nan" not in " ".join(parser.text).lower().split()
    names = {file.name for file in tmp_path.iterdir()}
    plots = {f"{name}.svg" for name in ("likelihood", "curves", "generation", "repair", "infill")}
    assert names == {"index.html", "processes.md"} | plots
    for name in plots:
        assert f"]({name})" in (tmp_path / "processes.md").read_text()


@pytest.mark.slow
def test_the_same_cells_give_the_same_bytes(tmp_path):
    pytest.importorskip("matplotlib")
    write_pages(tmp_path / "a", ASKED, cells(), plots=True)
    again = json.loads(json.dumps(list(reversed(cells()))))
    write_pages(tmp_path / "b", ASKED, again, plots=True)
    for file in sorted((tmp_path / "a").iterdir()):
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes(), file.name


def test_a_page_without_plots_needs_no_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    write_pages(tmp_path, ASKED, cells(), plots=False)
    assert "<svg" not in (tmp_path / "index.html").read_text()
    with pytest.raises(UserError, match="undiffuse\\[plot\\]"):
        write_pages(tmp_path / "other", ASKED, cells(), plots=True)
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["likelihood", "generation", "repair", "infill", "training"])
def test_a_part_that_seeds_lack_leaves_no_gap(lost, tmp_path):
    given = cells()
    del given[0][lost]  # one seed of a recipe that has others
    for each in given:
        if each["recipe"] in ("udlm", "plaid"):
            each.pop(lost)
    write_pages(tmp_path, ASKED, given, plots=True)
    words = (tmp_path / "processes.md").read_text().lower()
    assert "nan" not in words.replace("|", " ").split()
    assert "none" not in words.replace("|", " ").split()
    read((tmp_path / "index.html").read_text())


def test_names_mean_nothing_in_html_and_in_a_table():
    given = cells()
    for each in given:
        each["recipe"] = each["recipe"].replace("gidd", "<b>g|d</b>&")
        each["refused"] = {"repair": "<script>alert(1)</script>"}
    page = html(ASKED, given, {})
    assert "<b>" not in page
    assert "<script" not in page
    assert "&lt;b&gt;g|d&lt;/b&gt;&amp;" in page
    read(page)
    assert "| &lt;b>g\\|d&lt;/b>& |" in markdown(ASKED, given, {})


def test_no_perplexity_of_a_model_is_printed():
    part = next(part for part in sections(ASKED, systems(cells())) if part.name == "likelihood")
    heads = [head for table in part.tables for head in table.heads]
    assert "perplexity" not in heads


def test_an_empty_study_is_a_page_too(tmp_path):
    write_pages(tmp_path, ASKED, [], plots=True)
    read((tmp_path / "index.html").read_text())


@pytest.mark.slow
def test_plots_have_no_random_names_or_dates():
    pytest.importorskip("matplotlib")
    pictures = draw(ASKED, systems(cells()))
    assert pictures == draw(ASKED, systems(cells()))
    assert not any("<dc:date>" in svg for svg in pictures.values())


def test_labels_move_no_farther_than_they_must():
    assert spread([0.1, 0.5, 0.9], 0.2) == pytest.approx([0.1, 0.5, 0.9])
    assert spread([0.5, 0.5], 0.2) == pytest.approx([0.4, 0.6])
    assert spread([0.1, 0.5, 0.5, 0.5], 0.1) == pytest.approx([0.1, 0.4, 0.5, 0.6])
