"""The command `abm`: studies, runs, replays, forks, prompts and models from the terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code.

    0: done. 1: something failed while it ran (a run, a replay that differs, a damaged ledger).
    2: the input cannot be used. 130: stopped by hand.
    """
    from abm.cli.errors import guarded

    sys.exit(guarded(list(sys.argv[1:] if arguments is None else arguments)))
