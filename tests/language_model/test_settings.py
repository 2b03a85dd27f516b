"""How a verb decodes: names, presets and objects."""

from dataclasses import dataclass, field

import pytest

from undiffuse.decode.caches.auto import Auto
from undiffuse.decode.caches.dual import Dual
from undiffuse.decode.guidance.prompt import Prompt
from undiffuse.decode.proposal import Filters
from undiffuse.decode.strategies.ancestral import Ancestral
from undiffuse.decode.strategies.confidence import Confidence
from undiffuse.decode.strategies.strategy import Strategy
from undiffuse.decode.strategies.threshold import Threshold
from undiffuse.errors import UserError
from undiffuse.kinds import STRATEGIES
from undiffuse.language_model.settings import PRESETS, Settings


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_no_strategies_and_can_be_built(name):
    assert name not in STRATEGIES.kinds
    settings = Settings.of(name, temperature=0.5)
    assert settings.kind in STRATEGIES.kinds
    assert settings.strategy.filters.temperature == 0.5


def test_what_is_given_overrides_a_preset():
    assert Settings.of("balanced").strategy.gamma == 0.1
    assert Settings.of("balanced", gamma=0.3).strategy.gamma == 0.3
    assert isinstance(Settings.of("speed").cache, Auto)
    assert not isinstance(Settings.of("speed", cache="none").cache, Auto)
    assert Settings.of("quality").cache is None


def test_options_of_another_strategy_are_refused():
    with pytest.raises(UserError, match="'topk-margin' has no option 'gamma'"):
        Settings.of("quality", gamma=0.1)


def test_a_misspelled_preset_is_recognized():
    with pytest.raises(UserError, match="no strategy 'balansed'; did you mean 'balanced'"):
        Settings.of("balansed")


def test_the_catalogue_lists_presets_with_the_strategies(capsys):
    from undiffuse.cli.main import run

    assert run(["list", "strategies"]) == 0
    shown = capsys.readouterr().out
    for name in PRESETS:
        assert f"  {name} " in shown


# Objects in place of names

TEXT = "The quick [MASK:3] jumps over the [MASK] dog."
PAIRS = [
    ({"strategy": Confidence()}, {"strategy": "confidence", "temperature": 0.0}),
    (
        {"strategy": Threshold(threshold=0.2, filters=Filters(temperature=0.7, top_k=9))},
        {"strategy": "threshold", "threshold": 0.2, "temperature": 0.7, "top_k": 9},
    ),
    (
        {"strategy": Ancestral(), "cache": Dual(), "guidance": Prompt(2.0), "block_length": 4},
        {"strategy": "ancestral", "temperature": 1.0, "cache": "dual", "guidance": 2.0, "block_length": 4},
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("objects", "names"), PAIRS)
def test_objects_decode_as_their_names_do(long_model, objects, names):
    assert long_model.fill(TEXT, seed=3, **objects) == long_model.fill(TEXT, seed=3, **names)
    spoken = [long_model.generate("The ", length=12, seed=3, **each) for each in (objects, names)]
    assert spoken[0] == spoken[1]
    for how in ({"text": TEXT}, {"prompt": "The ", "length": 12}):
        first, second = ([e.ids.tolist() for e in long_model.stream(seed=3, **how, **o)] for o in (objects, names))
        assert first == second
    first, second = (long_model.decode([[5, 6, 7]], 8, seed=3, **each) for each in (objects, names))
    assert first.ids[0].tolist() == second.ids[0].tolist()


def test_an_object_keeps_its_temperature(model):
    several = model.fill(TEXT, strategy=Confidence(), samples=3)
    assert several[0].text == several[1].text == several[2].text
    assert model.generate(length=8, strategy=Confidence())[0].text == model.generate(length=8, temperature=0.0)[0].text


@dataclass(frozen=True)
class Backwards(Strategy):
    """The last pending position of each window, one a step: a strategy from elsewhere."""

    filters: Filters = field(default_factory=Filters)
    exact = False
    progressive = True

    def advance(self, process, seen, step, memory):
        return Confidence(self.filters).advance(process, seen, step, memory)


def test_a_strategy_from_elsewhere_goes_by_its_class(model):
    found = model.fill(TEXT, strategy=Backwards())[0]
    assert found.strategy == "Backwards"
    assert found.text == model.fill(TEXT, strategy="confidence")[0].text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strategy": 3}, r"strategy must be a name \(see `undiffuse list strategies`\), or a Strategy, not 3$"),
        ({"strategy": Confidence}, r"or a Strategy, not a class: say Confidence\(…\)$"),
        ({"strategy": Dual()}, r"or a Strategy, not Dual\(\)$"),
        ({"strategy": Confidence(), "temperature": 0.5}, r"own temperature: .* Confidence\(filters=Filters\(temper"),
        ({"strategy": Threshold(), "threshold": 0.5}, r"own threshold: leave it out, or say Threshold\(threshold=0.5"),
        ({"cache": True}, r"cache must be a name \(see `undiffuse list caches`\), or a CachePolicy, not True$"),
        ({"cache": Dual}, r"cache must be .*, not a class: say Dual\(…\)$"),
        ({"guidance": "strong"}, r"guidance must be a scale \(1: none\), or a Guidance, not 'strong'$"),
        ({"guidance": True}, r"guidance must be a scale \(1: none\), or a Guidance, not True$"),
        ({"guidance": Prompt}, r"guidance must be .*, not a class: say Prompt\(…\)$"),
    ],
)
def test_what_is_neither_a_name_nor_an_object_is_refused(model, options, message):
    for verb in (
        lambda: model.fill(TEXT, **options),
        lambda: model.generate(length=4, **options),
        lambda: next(model.stream(TEXT, **options)),
        lambda: next(model.stream(length=4, **options)),
        lambda: model.decode([[5]], 4, **{"strategy": "confidence", **options}),
    ):
        with pytest.raises(UserError, match=message):
            verb()
