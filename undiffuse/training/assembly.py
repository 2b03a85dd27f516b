"""From a plan, a tokenizer and a text to everything that the loop needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import torch

from ..data.corpus import Corpus
from ..data.packing import CLOSING, Answering, Dataset, Padding, told
from ..data.source import Source
from ..data.speech import Plain, Speech, Templated, lengths
from ..errors import UserError
from ..kinds import build_process
from ..language_model.voice import KEY, template_of
from ..models.lora import LowRank
from ..models.transformer import Transformer, TransformerConfig
from ..predictor import Predictor
from ..text.codec import Codec
from ..text.tokenizer import CONTROLS, Tokenizer, size_for
from ..vocabulary import Vocabulary
from .configuration import Configuration, TokenizerSettings
from .loop import Job
from .plan import Plan, Size, sized
from .start import Start
from .state import TrainingState
from .trainable import Adapter, freeze
from .validation import Validation, take


@dataclass(frozen=True)
class Rows:
    """What is known of a tokenizer before it is trained: the roles of its rows, if it has as many as it may have."""

    vocabulary: Vocabulary

    @classmethod
    def expected(cls, settings: TokenizerSettings) -> "Rows":
        """Where the text decides on the number of rows, the least that it may decide on."""
        if settings.kind == "byte":
            return cls(Tokenizer.byte_level().vocabulary)
        return cls.numbering(size_for(0) if settings.size == "auto" else settings.size)

    @classmethod
    def least(cls, settings: TokenizerSettings, text_bytes: int) -> "Rows":
        """As many as would be chosen for a text of so many bytes, or fewer where fewer are asked for."""
        if settings.kind == "byte":
            return cls.expected(settings)
        suiting = size_for(text_bytes)
        return cls.numbering(suiting if settings.size == "auto" else min(settings.size, suiting))

    @classmethod
    def numbering(cls, rows: int) -> "Rows":
        """So many rows, the control rows last."""
        return cls(Vocabulary(rows, *range(rows - len(CONTROLS), rows)))


def predictor_of(
    configuration: Configuration, tokenizer: Codec | Rows, network: Transformer, text: Dataset | None = None
) -> Predictor:
    """The network with the process that it denoises, and the meaning that the objective gives its output.

    `text` is the training text, for processes that count its tokens.
    """
    process = build_process(configuration.process, tokenizer.vocabulary)
    if text is not None:
        process = process.fitted(text.counts)
    return Predictor(network, process, configuration.objective.head)


def network_of(configuration: Configuration, tokenizer: Codec | Rows, seed: int) -> Transformer:
    """A new float32 network, its weights drawn by `seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Transformer(TransformerConfig(rows=tokenizer.vocabulary.rows, **configuration.model))  # type: ignore[arg-type]


def check(configuration: Configuration, tokenizer: Codec | None = None) -> None:
    """UserError if the parts of a configuration do not go together. Allocates no weights.

    `tokenizer` is the one that the run will have, where it is not trained first.
    """
    whole = sized(configuration, Size(width=64, depth=1, heads=1, context=64, rows=16))
    known = tokenizer or Rows.expected(whole.tokenizer)
    with torch.device("meta"):
        network = network_of(whole, known, seed=0)
    freeze(network, whole.trained)
    if not whole.trained and not whole.lora.rank:
        raise UserError("training.train is empty: name what is trained, for example blocks.*, or leave it out for all")
    predictor = predictor_of(whole, known, network)
    whole.objective.check(predictor)
    if whole.lora.rank:
        LowRank(whole.lora.rank, 1.0, whole.lora.targets).matrices(network)
    if configuration.training.prompt_dropout and predictor.process.mask is None:
        raise UserError(
            "training.prompt_dropout replaces prompts by masks, and this process has none: use destination 'mask', "
            "'mix' or 'growing-mask', or leave it out"
        )


def answering(
    configuration: Configuration, tokenizer: Codec, train: Corpus, chat: Mapping[str, Any] | None, length: int
) -> Answering:
    """What the settings say of prompts and their answers, with nothing left open, in rows of a length."""
    data, model = configuration.data, configuration.model
    causal, block = bool(model["causal"]), model["block_length"]
    speech: Speech = Plain(tokenizer, () if tokenizer.start is None or not causal else (tokenizer.start,))
    if chat is not None:
        speech = Templated(tokenizer, template_of(tokenizer, {KEY: chat}))
    padding: Padding = ("ignore" if causal else "eos-trained") if data.padding == "auto" else data.padding
    singly = data.turns == "each" or (data.turns == "auto" and not causal and block is None)
    how = Answering(speech, padding, data.loss, singly)
    if padding == "ignore":
        return how
    if data.canvas != "auto":
        return replace(how, canvas=int(data.canvas))
    longest, step = max(lengths(told(train.documents, how))), int(str(block or 8))
    return replace(how, canvas=min(-(-(longest + CLOSING - 1) // step) * step, length // 2))


def packed_text(predictor: Predictor, text: Dataset) -> Source:
    """Batches of the training text itself."""
    return text


@dataclass(frozen=True, eq=False)
class Assembly:
    """What a run is made of, whatever its plan: settings, texts, tokenizer, seed, device, and where it starts.

    Without a start the weights are new. What adapters add is trained, and in the end part of the network. `chat` is how
    conversations are written (a manifest's record); None: prompts stand before their responses. Batches come
    from what `sourced` makes of the network in training and of the training text, by default from that text.
    """

    configuration: Configuration
    train: Corpus
    valid: Corpus
    tokenizer: Codec
    seed: int
    device: torch.device
    start: Start | None = None
    adapters: tuple[Adapter, ...] = ()
    chat: Mapping[str, Any] | None = None
    sourced: Callable[[Predictor, Dataset], Source] = packed_text

    @cached_property
    def datasets(self) -> Callable[[int], tuple[Dataset, Dataset]]:
        """Training and held-out text in rows of a length; each length is packed once."""

        def packed(length: int) -> tuple[Dataset, Dataset]:
            apart = self.configuration.data.apart
            train, valid = (
                Dataset.of(text, self.tokenizer, length, self.seed, apart, self.answering(length))
                for text in (self.train, self.valid)
            )
            return train, valid

        return cache(packed)

    @cached_property
    def answering(self) -> Callable[[int], Answering]:
        """How answers are learned in rows of a length."""
        return cache(lambda length: answering(self.configuration, self.tokenizer, self.train, self.chat, length))

    @cached_property
    def longest(self) -> int | None:
        """Tokens of the longest record with its end; None of a running text."""
        if not self.configuration.data.apart:
            return None
        return 1 + max(len(self.tokenizer.encode(document.text)) for document in self.train.documents)

    def build(self, plan: Plan) -> tuple[Job, TrainingState]:
        """The fixed and the changing half of the run by a plan, at step 0; the optimizer has no memory."""
        configuration = plan.configuration
        settings = configuration.training
        dataset, held_out = self.datasets(configuration.context)
        dtype = getattr(torch, settings.dtype)
        network = self._network(plan).to(self.device, dtype)
        optimizer = configuration.optimizer.build(network)
        if self.start is not None:
            optimizer.take(self.start.weights)
        state = TrainingState(optimizer, settings.ema, configuration.objective)
        judged = self._network(plan).to(self.device, dtype).requires_grad_(False)
        predictor = predictor_of(configuration, self.tokenizer, network, dataset)
        validation = Validation(
            replace(predictor, denoiser=judged),
            judged,
            held_out,
            settings.windows,
            settings.draws,
            self.seed,
            self.device,
        )
        job = Job(
            predictor,
            tuple(p for p in network.parameters() if p.requires_grad),
            configuration.objective,
            self.sourced(predictor, dataset),
            validation,
            settings,
            int(settings.rows),
            plan.ends,
            self.seed,
            self.device,
        )
        return job, state

    def trained(self, plan: Plan, state: TrainingState) -> Predictor:
        """The averaged weights in float32, with the process and the meaning of their output."""
        network = self.updated(plan, state)
        for adapter in self.adapters:
            adapter.merge(network)
        return self._predictor(plan, network)

    def updated(self, plan: Plan, state: TrainingState) -> Transformer:
        """The averaged weights in float32, with what adapters added beside them."""
        network = self._network(plan)
        take(network, state.average)
        return network

    def begun(self, plan: Plan) -> Predictor:
        """What the run starts from, as `trained` is."""
        return self._predictor(plan, self._network(plan))

    def _predictor(self, plan: Plan, network: Transformer) -> Predictor:
        network.to(self.device).eval().requires_grad_(False)
        return predictor_of(plan.configuration, self.tokenizer, network, self.datasets(plan.configuration.context)[0])

    def _network(self, plan: Plan) -> Transformer:
        """With the weights that the run starts from, in float32, and what is trained of them and beside them."""
        configuration = plan.configuration
        if self.start is not None:  # shorter rows take nothing from the positions that it was trained on
            context = max(configuration.context, self.start.context)
            configuration = replace(configuration, model={**configuration.model, "context": context})
        network = network_of(configuration, self.tokenizer, self.seed)
        if self.start is not None:
            network.load_state_dict(self.start.weights)
        freeze(network, plan.configuration.trained)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            for adapter in self.adapters:
                adapter.attach(network)
        return network
