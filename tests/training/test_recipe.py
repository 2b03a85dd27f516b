"""Defaults, recipes, overrides: values, origins, and what is refused."""

import pytest

from undiffuse.errors import UserError
from undiffuse.process.destinations.mix import Mix
from undiffuse.training.configuration import flat, read_configuration
from undiffuse.training.recipe import ALIASES, describe_recipe, recipes, resolve


def test_every_value_has_an_origin(tmp_path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text('process.destination = {kind = "mix", uniform_share = 0.3}\nmodel.depth = 3\ntraining.rows = 8\n')
    resolved = resolve(recipe, ["model.width=48", "training.rows=12"])
    values = flat(resolved.configuration.to_dict())
    assert resolved.origins.keys() == values.keys()
    origin = resolved.origins.get
    assert (origin("process.destination.kind"), origin("process.destination.uniform_share")) == ("recipe", "recipe")
    assert (origin("model.depth"), values["model.depth"]) == ("recipe", 3)
    assert (origin("model.width"), values["model.width"]) == ("override", 48)
    assert (origin("training.rows"), values["training.rows"]) == ("override", 12)
    assert (origin("optimizer.kind"), origin("training.clip")) == ("default", "default")


def test_another_kind_drops_the_parameters_of_the_one_before(tmp_path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text('[process.destination]\nkind = "mix"\nuniform_share = 0.3\n')
    kept = resolve(recipe, ["process.destination.kind=mix"])
    assert kept.configuration.process["destination"] == Mix(0.3)
    changed = resolve(recipe, ["process.schedule=gidd", "process.destination=growing-mask"])
    assert changed.configuration.process["destination"].uniform_share == 0.2
    assert changed.origins["process.destination.uniform_share"] == "default"


def test_the_order_of_overrides_does_not_matter():
    either, other = (
        resolve("default", overrides).configuration
        for overrides in (["optimizer.lr=0.5", "optimizer=adamw"], ["optimizer=adamw", "optimizer.lr=0.5"])
    )
    assert either == other
    assert either.optimizer.lr == 0.5


def test_the_written_form_is_read_back():
    configuration = resolve("default", ["objective=llada", "objective.floor=0.01", "tokenizer.size=300"]).configuration
    assert read_configuration(configuration.to_dict()) == configuration


@pytest.mark.slow
@pytest.mark.parametrize("name", recipes())
def test_every_recipe_can_be_built_and_says_what_it_is(name):
    same, system = ALIASES.get(name, (name, ""))
    twins = [other for other in recipes() if resolve(other).configuration == resolve(name).configuration]
    assert set(twins) == {same, *(alias for alias, (file, _) in ALIASES.items() if file == same)}
    assert describe_recipe(name).startswith(system)
    assert len(describe_recipe(name)) > 20


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.widht=3", "there is no key model.widht; did you mean 'width'"),
        ("trainig.rows=3", "there is no key trainig; did you mean 'training'"),
        ("training.row=3", "there is no key training.row; did you mean 'rows'"),
        ("optimizer.momentun=0.9", "optimizer 'muon' has no parameter 'momentun'; did you mean 'momentum'"),
        ("process.schedule=one-minus-x", "no schedule 'one-minus-x'; did you mean 'one-minus-t'"),
        ("process.schedule=cosine", "names two curves"),
        ("objective.times=equal", "no times 'equal'; did you mean 'equal-count'"),
        ("objective={kind='bound', times=3}", "times = 3: expected a kind, one of equal-count"),
        ("model.width=1.5", "model.width = 1.5: Input should be a valid integer"),
        ("model.width=wide", "model.width = 'wide'"),
        ("model=3", "model = 3: expected a table"),
        ("training.rows=-1", "training.rows = -1: .* greater than or equal to 1 .or 'auto'."),
        ("training.rows=true", "training.rows = True"),
        ("training.dtype=float16", "training.dtype = 'float16': Input should be 'auto', 'float32' or 'bfloat16'"),
        ("training.rows.x=1", "cannot set training.rows.x|training.rows"),
        ("optimizer.lr=fast", "optimizer.lr = 'fast': Input should be a valid number"),
        ("tokenizer.size=12", "tokenizer.size = 12: Input should be greater than or equal to 260"),
        ("process.destination={kind='mix', uniform_share=2.0}", "destination 'mix': uniform_share must lie strictly"),
        ("novalue", "'novalue' is not of the form KEY=VALUE"),
        ("key=", "is not of the form KEY=VALUE"),
    ],
)
def test_a_wrong_override_is_explained(override, message):
    with pytest.raises(UserError, match=message):
        resolve("default", [override])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["training.rows=10", "training.accumulation=4"], "10 rows cannot be split into 4 equal parts"),
        (["training.warmup=0.6", "training.decay=0.5"], "warmup 0.6 and decay 0.5 overlap"),
        (["tokenizer.kind=byte", "tokenizer.size=300"], "tokenizer 'byte' has no size to choose"),
        (["tokenizer.kind=wordpiece"], "a tokenizer 'wordpiece' is not trained here: use 'bpe' or 'byte'"),
        (["model.width=48", "model.heads=5"], "5 heads do not split a width of 48"),
        (["process.schedule=geometric"], "needs α.1. = 0"),
        (["objective=llada", "process.destination=uniform"], "'llada' is defined for masked noise"),
        (["objective.times=equal-count", "model.time_conditioning=true"], "equal-count.* a network without time input"),
    ],
)
def test_what_does_not_go_together_is_refused(overrides, message):
    with pytest.raises(UserError, match=message):
        resolve("default", overrides)


def test_a_recipe_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match="no recipe 'defualt'; did you mean 'default'"):
        resolve("defualt")
    with pytest.raises(UserError, match=r"cannot read the recipe .*missing.toml: No such file"):
        resolve(tmp_path / "missing.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("model.width = = 3")
    with pytest.raises(UserError, match=r"broken.toml is not valid TOML: .*line 1"):
        resolve(broken)
    broken.write_bytes(b"\xff")
    with pytest.raises(UserError, match=r"broken\.toml is not valid TOML"):
        resolve(broken)


@pytest.mark.parametrize("pair", [("training.rows=4", "training.rows=8"), ("objective=bound", "objective.kind=llada")])
def test_a_key_has_one_value(pair):
    with pytest.raises(UserError, match=f"{pair[0].partition('=')[0]} is given twice: leave out one of its values"):
        resolve("default", pair)


def test_a_process_that_is_no_table_is_refused(tmp_path):
    (tmp_path / "a.toml").write_text("process = []")
    with pytest.raises(UserError, match=r"process = \[\]: expected a table, or the name of a kind"):
        resolve(tmp_path / "a.toml")
