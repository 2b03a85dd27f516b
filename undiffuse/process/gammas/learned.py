"""The curve that the network has learned."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from ...errors import UserError
from .gamma import Curve, Gamma


@dataclass(frozen=True)
class Learned(Gamma):
    """The curve is part of the network: `model.noise_curve` says which kind of curve that is."""

    learned = True

    def bind(self, tables: Mapping[str, Any]) -> Curve:
        if "gamma" not in tables:
            raise UserError(
                "a learned noise curve is part of the network, and this network has none: set "
                'model.noise_curve="monotone" or "warp", or process.gamma="linear"'
            )
        return cast(Curve, tables["gamma"])
