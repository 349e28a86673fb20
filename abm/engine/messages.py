"""Messages: what agents read from each other. They carry ids and plain data, never objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from abm.errors import VisibilityError, require

__all__ = ["Message"]


@dataclass(frozen=True, slots=True)
class Message:
    """A piece of text that somebody wrote at some time.

    Parameters
    ----------
    id
        Identity of the message: int or str.
    author
        Key of the author: int or str, never the agent itself.
    time
        Simulated time at which it was written.
    text
        What it says; may be empty where only the stance counts.
    stance
        What the author stands for in public: a number or an option; `None` where unknown.
    topic
        What it is about.

    Raises
    ------
    VisibilityError
        A value is an object, such as an agent, and not plain data.

    Examples
    --------
    >>> Message(id=1, author=7, time=0.5, text="More parks!", stance=6, topic="parks").author
    7
    """

    id: int | str
    author: int | str
    time: float
    text: str
    stance: float | int | str | None = None
    topic: str | None = None

    def __post_init__(self) -> None:
        _check("id", self.id, int, str)
        _check("author", self.author, int, str)
        _check("time", self.time, int, float)
        _check("text", self.text, str)
        _check("stance", self.stance, int, float, str, type(None))
        _check("topic", self.topic, str, type(None))


def _check(name: str, value: Any, *kinds: type) -> None:
    plain = value.item() if hasattr(value, "dtype") and getattr(value, "ndim", 1) == 0 else value
    require(
        isinstance(plain, kinds),
        VisibilityError,
        f"Message {name} = {value!r} of type {type(value).__name__}, expected "
        f"{' or '.join(kind.__name__ for kind in kinds)}; messages carry ids and plain data, "
        "so give agent.key, not the agent",
        argument=name,
        value=value,
    )
