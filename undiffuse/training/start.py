"""Where a run starts if not from new weights: a model in a directory, with its network, tokenizer and process."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import UserError
from ..kinds import describe, describe_process
from ..language_model.storage import read
from ..language_model.trained import Trained
from ..models.transformer import Transformer
from ..text.codec import Codec
from .configuration import Configuration, TokenizerSettings, flat, read_model, read_process

FREE = ("context", "dropout", "block_length")
"""What of the network a run may choose anew: no parameter's shape depends on it."""
TAKEN = ("model.", "process.", "tokenizer.")
"""What a configuration says of these, the directory decides."""


@dataclass(frozen=True, eq=False)
class Start:
    """The model that a run goes on from: a finished run, a saved model or a public checkpoint."""

    model: Trained

    @classmethod
    def of(cls, directory: str | Path, plugins: Collection[str] = (), revision: str | None = None) -> "Start":
        """The model in a directory, or of an id of Hugging Face at a revision, with leave to import some packages.

        UserError if there is none, or no network that can be trained here.
        """
        device = torch.device("cpu")
        return cls(read(directory, devices=(device,), dtype=None, plugins=plugins, revision=revision))

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def tokenizer(self) -> Codec:
        return self.model.tokenizer

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """By the names of the network's parameters, in the number format that they are stored in."""
        return self._network.state_dict()

    @property
    def context(self) -> int:
        """Positions that its network was trained on."""
        return self._network.config.context

    @property
    def _network(self) -> Transformer:
        return self.model.trunk("trained on")

    @property
    def recipe(self) -> dict[str, Any]:
        """What a run minimizes, and how, if nothing else is said: as the model was trained, where that is known."""
        trained = self.model.manifest.get("training", {}).get("configuration", {})
        known = {name: dict(trained[name]) for name in ("objective", "optimizer") if name in trained}
        return known or {"objective": self._objective}

    @property
    def _objective(self) -> dict[str, Any]:
        """What suits a model of which nobody says how it was trained."""
        if self.model.predictor.traits.one_sided:
            return {"kind": "autoregressive"}
        masked = self.model.predictor.process.mask is not None
        return {"kind": "bound", **({"times": {"kind": "equal-count"}} if masked else {})}

    def decides(self, key: str) -> bool:
        """Whether a value of the configuration is the directory's."""
        return key.startswith(TAKEN)

    def configured(self, asked: Configuration, origins: Mapping[str, str]) -> Configuration:
        """What is asked for, over the directory's network, tokenizer and process.

        UserError if a value that was given, in a recipe or beside it, contradicts them, or if the objective trains
        another kind of output than the network has.
        """
        given = {key for key, origin in origins.items() if origin in ("recipe", "override")}
        described = describe(self._network.config)
        model = read_model({name: value for name, value in described.items() if name not in ("kind", "rows")})
        chosen = {name: asked.model[name] for name in FREE if f"model.{name}" in given and asked.model[name] != "auto"}
        found = replace(
            asked,
            tokenizer=TokenizerSettings(self.tokenizer.kind),
            process=read_process(describe_process(self.model.predictor.process)),
            model={**model, **chosen},
        )
        self._compare(flat(asked.to_dict()), flat(found.to_dict()), given)
        head = self.model.predictor.head
        if found.objective.head != head:
            raise UserError(
                f"the network in {self.name} gives {head} probabilities, and this objective trains "
                f"{found.objective.head} ones: choose another objective, or train without --from"
            )
        return found

    def _compare(self, asked: Mapping[str, Any], found: Mapping[str, Any], given: set[str]) -> None:
        rows = self.tokenizer.vocabulary.rows
        for key in sorted(given, key=lambda key: (not key.startswith("process."), key)):
            if not key.startswith(TAKEN) or asked[key] in ("auto", found.get(key)):
                continue
            has = rows if key == "tokenizer.size" else found.get(key)
            if asked[key] != has:
                raise UserError(
                    f"{key} = {asked[key]!r} is asked for, and the model in {self.name} has {has!r}: leave {key} out, "
                    "or train without --from"
                )
