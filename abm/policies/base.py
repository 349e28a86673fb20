"""The policy protocol: who answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from abm.questions import Answer, Request

__all__ = ["Policy"]


@runtime_checkable
class Policy(Protocol):
    """Answers a batch of requests. Pure: equal requests get equal answers, in any batch.

    Attributes
    ----------
    fingerprint
        Everything about the policy that can change an answer; enters every ledger key.
    recorded
        Whether answers go to the ledger. True for language models; a rule is code and is computed
        again on replay.

    Notes
    -----
    A policy may say `live = False`: asking it again gives what it gave before, so that retries need
    not wait. By default what is recorded is live.
    """

    @property
    def fingerprint(self) -> str: ...

    @property
    def recorded(self) -> bool: ...

    def answer(self, requests: Sequence[Request]) -> Sequence[Answer]:
        """One answer per request, in order."""
        ...
