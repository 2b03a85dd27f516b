"""Nothing as large as the logits is ever made in float64: it would cost twice the memory of all of them together.

Numbers per position are float64 where that matters; columns over the vocabulary are of the network's type, float32.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from undiffuse.decode.canvas import Canvas, start
from undiffuse.decode.decoder import Decoder
from undiffuse.decode.guidance.classifier import Classifier
from undiffuse.decode.guidance.first_order import FirstOrder
from undiffuse.decode.guidance.prompt import Prompt
from undiffuse.decode.loop import begin, step
from undiffuse.decode.request import Request
from undiffuse.errors import UserError
from undiffuse.kinds import CORRECTORS, STRATEGIES, describe_process
from undiffuse.likelihood.bound import bound
from undiffuse.predictor import Predictor
from undiffuse.process.duo import operator
from undiffuse.process.matrix import Matrix
from undiffuse.randomness import Draws
from undiffuse.training.assembly import network_of, predictor_of
from undiffuse.training.plan import Size, sized
from undiffuse.training.recipe import ALIASES, recipes, resolve
from undiffuse.types import Batch
from undiffuse.vocabulary import Vocabulary

VOCABULARY = Vocabulary(rows=1021, mask=1018, bos=1019, eos=1017, pad=1020)
ROWS, LENGTH = 3, 16
SIZE = Size(width=16, depth=1, heads=1, context=LENGTH, rows=ROWS)
OF_BYTES = "d3pm-matrix"
RECIPES = [name for name in recipes() if name not in ALIASES and name != OF_BYTES]
WIDE = (torch.float64, torch.complex64, torch.complex128)


class Watch(TorchDispatchMode):
    """Collects the operations that give a wide tensor with columns over the vocabulary, or as large as the logits."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.narrow = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, torch.Tensor) and is_large(value):
                if value.dtype in WIDE:
                    self.found.add(f"{func} {tuple(value.shape)}")
                self.narrow = True
        return result


def is_large(value: torch.Tensor) -> bool:
    """Two rows of the vocabulary or more, or as many numbers as those of all positions."""
    if value.numel() < 2 * VOCABULARY.size:
        return False
    return value.numel() >= ROWS * LENGTH * VOCABULARY.size or any(size >= VOCABULARY.size for size in value.shape)


@contextmanager
def watched() -> Iterator[None]:
    with Watch() as watch:
        yield
    assert watch.narrow, "nothing of the size of the logits was seen at all"
    assert not watch.found, "\n".join(sorted(watch.found))


def made(recipe: str, dtype: torch.dtype = torch.float32) -> tuple[Any, Predictor]:
    """The objective of a recipe, and a tiny network with weights that are not at their start."""
    configuration = sized(resolve(recipe).configuration, SIZE)
    tokenizer: Any = SimpleNamespace(vocabulary=VOCABULARY)
    network = network_of(configuration, tokenizer, seed=0)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(0))
    counts: Any = SimpleNamespace(counts=[1 + row % 7 for row in range(VOCABULARY.rows)])
    return configuration.objective, predictor_of(configuration, tokenizer, network.to(dtype), counts)


def batch() -> Batch:
    ids = torch.randint(VOCABULARY.size, (ROWS, LENGTH), generator=torch.Generator().manual_seed(1))
    yes, name = torch.ones_like(ids, dtype=torch.bool), torch.arange(ROWS)
    positions = torch.arange(LENGTH).expand_as(ids)
    return Batch(ids, yes, yes, positions, index=name, epoch=torch.zeros_like(name), slot=name)


def canvas(predictor: Predictor, prompt: int = 4) -> Canvas:
    span = predictor.traits.block_length
    steps = None if predictor.traits.reads_previous else 2
    rows = [
        start(row, torch.arange(LENGTH) >= prompt, key=k, steps=steps, span=span) for k, row in enumerate(batch().ids)
    ]
    return Canvas.concatenate(rows)


def test_one_wide_tensor_is_found() -> None:
    with pytest.raises(AssertionError, match=r"\(48, 1021\)"), watched():
        torch.zeros(48, VOCABULARY.rows).double()
    with pytest.raises(AssertionError, match=r"\(3, 16, 1018\)"), watched():
        (torch.zeros(3, 16, 1, dtype=torch.float64) + torch.zeros(VOCABULARY.size))
    with pytest.raises(AssertionError, match="seen at all"), watched():
        torch.zeros(VOCABULARY.rows, dtype=torch.float64)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("recipe", RECIPES)
def test_training(recipe: str, dtype: torch.dtype) -> None:
    whole, predictor = made(recipe, dtype)
    whole.check(predictor)
    assert operator(VOCABULARY.size).range  # Duo's table is made once
    first, last = whole.at(0.0), whole.at(1.0)
    for objective in (first,) if first == last else (first, last):
        with watched():
            loss = objective.loss(predictor, batch(), Draws.seeded(1), ROWS).sum
            loss.backward()
        assert loss.isfinite()
    weights: Any = predictor.denoiser
    assert any(weight.grad is not None and weight.grad.any() for weight in weights.parameters())


@pytest.mark.parametrize("recipe", RECIPES)
def test_likelihood(recipe: str) -> None:
    _, predictor = made(recipe)
    with torch.no_grad(), watched():
        assert bound(predictor, batch(), draws=2).per_token.isfinite().all()


def suits(predictor: Predictor, decoder: Decoder) -> bool:
    try:
        decoder.check(predictor, canvas(predictor))
    except UserError:
        return False
    return True


def decoders(predictor: Predictor) -> dict[str, Decoder]:
    """Every strategy that suits a network, every corrector, and filters where they are taken."""
    found = {kind: Decoder(STRATEGIES.load(kind)()) for kind in STRATEGIES.kinds}
    found |= {
        f"predictor-corrector, {kind}": Decoder(STRATEGIES.load("predictor-corrector")(corrector=kind))
        for kind in CORRECTORS.kinds
    }
    return {name: decoder for name, decoder in found.items() if suits(predictor, decoder)}


def decode(predictor: Predictor, decoder: Decoder) -> None:
    whole = canvas(predictor)
    rows = [whole.select(slice(row, row + 1)) for row in range(len(whole.ids))]
    batch = begin(predictor, [Request(row, decoder) for row in rows])
    with watched():
        while not batch.canvas.done.all():
            batch, _ = step(predictor, batch)


@cache
def decoded_alike() -> list[str]:
    """One recipe of each process, head and kind of network: the others decode as it does."""
    first: dict[tuple[Any, ...], str] = {}
    for recipe in RECIPES:
        _, predictor = made(recipe)
        known = predictor.traits
        traits = ("level" in known.takes, known.block_length, known.reads_previous)
        first.setdefault((str(describe_process(predictor.process)), predictor.head, *traits), recipe)
    return list(first.values())


@pytest.mark.slow
def test_decoding() -> None:
    for recipe in decoded_alike():  # found here: at the collection of tests it would cost all of them seconds
        _, predictor = made(recipe)
        suitable = decoders(predictor)
        assert suitable
        for name, decoder in suitable.items():
            try:
                decode(predictor, decoder)
            except AssertionError as error:
                raise AssertionError(f"{recipe}, {name}: {error}") from error


def test_every_strategy_was_decoded_with() -> None:
    covered = {name for recipe in decoded_alike() for name in decoders(made(recipe)[1])}
    assert covered >= set(STRATEGIES.kinds)


def likes_small(ids: torch.Tensor, t: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    return -(ids * valid).sum(-1) / 1e4


def likes_small_softly(tokens: torch.Tensor, t: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    return -(tokens @ torch.arange(float(VOCABULARY.rows)) * valid).sum(-1) / 1e4


@pytest.mark.parametrize("recipe", ["default", "udlm", "gidd", "xdlm", "d3pm-uniform", "sedd-absorb"])
@pytest.mark.parametrize(
    "guidance",
    [
        Prompt(scale=2.0),
        Classifier(scale=2.0, log_probability=likes_small),
        FirstOrder(scale=2.0, log_probability=likes_small_softly),
    ],
)
def test_guided_decoding(recipe: str, guidance: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # texts that a classifier sees at a time, with a time per position: not to be taken for columns
    monkeypatch.setattr("undiffuse.decode.guidance.classifier.CALL_ROWS", 512)
    _, predictor = made(recipe)
    kind = "tweedie" if predictor.head == "score" else "ancestral"
    decode(predictor, Decoder(STRATEGIES.load(kind)(), guidance=guidance))


def test_a_matrix_of_moves_is_not_for_large_vocabularies() -> None:
    """It is float64 throughout, and therefore refuses them."""
    assert resolve(OF_BYTES).configuration.process["kind"] == "matrix"
    with pytest.raises(ValueError, match="at most 300 tokens, and this vocabulary has 1018"):
        Matrix(VOCABULARY)
