"""What a network may keep between passes."""

from .branches import Branches
from .features import Features
from .kv import KV

Kept = KV | Features
"""Of canvases that are decoded."""
Keys = KV | Branches
"""Of texts that are read from the left."""
Seen = Kept | Branches
"""Whatever a pass may read and write beside its rows."""
