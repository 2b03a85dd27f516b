"""Features of every row, renewed at intervals and where the values have moved: dLLM-Cache."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from ...errors import UserError
from ...models.features import Features
from ...models.kept import Kept
from ...predictor import Predictor
from ..canvas import Canvas
from .cache import CachePolicy, refuse_blocks


@dataclass(frozen=True)
class DLLM(CachePolicy):
    """Renews the prompt every `prompt_interval` steps and the response every `response_interval`; else what changed.

    Approximate (dLLM-Cache, Liu et al. 2025). Between renewals each layer recomputes the share `adaptive` of the
    response whose values moved most, and renews all its values; at 0 it renews nothing of it. Prompt is what is fixed,
    response what is editable.
    """

    prompt_interval: int = 50
    response_interval: int = 7
    adaptive: float = 0.25

    exact = False

    def __post_init__(self) -> None:
        for name in ("prompt_interval", "response_interval"):
            if getattr(self, name) < 1:
                raise UserError(f"cache 'dllm': {name} must be at least 1 step, not {getattr(self, name)}")
        if not 0 <= self.adaptive <= 1:
            raise UserError(f"cache 'dllm': adaptive is a share between 0 and 1, not {self.adaptive}")

    def check(self, predictor: Predictor) -> None:
        refuse_blocks(predictor, "dllm")
        if "features" not in predictor.traits.keeps:
            raise UserError(
                "this network keeps no features, as none does whose layers are on several devices; use cache 'none'"
            )
        if "level" in predictor.traits.takes:
            raise UserError("cache 'dllm' keeps what layers added at another noise level; use cache 'prefix' or 'dual'")

    def memory(self, predictor: Predictor, canvas: Canvas, requests: int, shadows: bool) -> Features:
        if shadows:
            raise UserError("cache 'dllm' has no place for shadow rows; use cache 'prefix' or 'dual'")
        return predictor.denoiser.features(requests, canvas.ids.shape[1])

    def recompute(self, canvas: Canvas, kv: Kept | None) -> Bool[Tensor, "R L"]:
        """Every row goes in; what is due in each layer is noted in the memory."""
        assert isinstance(kv, Features)
        new = kv.stamp < 0
        prompt = new | (canvas.step % self.prompt_interval == 0)
        response = new | (canvas.step % self.response_interval == 0)
        kv.due.copy_(canvas.valid & torch.where(canvas.editable, response[:, None], prompt[:, None]))
        kv.watched.copy_(canvas.editable & (self.adaptive > 0))  # at 0 not even the values of the response are renewed
        kv.count.copy_((self.adaptive * canvas.editable.sum(-1)).long())
        return canvas.valid
