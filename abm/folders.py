"""Where things are kept that can be made again: in one folder of the user."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_folder"]


def cache_folder() -> Path:
    """The folder `AGORA_CACHE`, or `agora` in the user's cache folder. It need not exist."""
    given = os.environ.get("AGORA_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agora"
