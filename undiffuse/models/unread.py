"""Families of public diffusion language models that are recognized and not read: refused by name, under any layout."""

from collections.abc import Mapping
from typing import Any

from ..errors import UserError

UNREAD = {
    "wedlm": ("WeDLM", "attends causally"),
}
"""By model_type, in lower case: the family, and why its network is not one of the layouts."""


def refuse_unread(config: Mapping[str, Any], where: str) -> None:
    """UserError for the config of such a family."""
    kind = str(config.get("model_type")).lower().replace("-", "_")
    if kind in UNREAD:
        family, why = UNREAD[kind]
        raise UserError(f"{where} is a checkpoint of {family}, which is not read: it {why}, as no layout here does")
