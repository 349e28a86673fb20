"""Keys of agents: who is who, as far as chance is concerned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from abm.engine.failures import describe
from abm.errors import EngineError
from abm.rng import agent_key

if TYPE_CHECKING:
    from abm.engine.agent import Agent

__all__ = ["Keys"]


class Keys:
    """The keys of the living agents of a model; no two agents share one."""

    def __init__(self) -> None:
        self._holders: dict[int, Agent] = {}
        self._numbers: dict[type, int] = {}

    def claim(self, agent: Agent, key: int | str | None) -> int | str:
        """The key of a new agent: the given one, or the next of its class.

        Raises
        ------
        EngineError
            Another agent has it: two agents with one key would share their chance.
        """
        claimed = self._next(type(agent)) if key is None else key
        holder = self._holders.setdefault(agent_key(claimed), agent)
        if holder is not agent:
            name = type(agent).__name__
            raise EngineError(
                f"{name}: key {claimed!r} is taken by {describe(holder)}; two agents with one key "
                f"would share their chance. Give it another, such as '{name.lower()} {claimed}'",
                argument="key",
                value=claimed,
            )
        return claimed

    def release(self, agent: Agent) -> None:
        """Forget the key of an agent that leaves."""
        self._holders.pop(agent_key(agent.key), None)

    def find(self, key: int | str) -> Agent:
        """The agent with this key, given as it is or as text."""
        found: Any = self._holders.get(agent_key(key))
        if found is None and isinstance(key, str) and key.lstrip("-").isdigit():
            found = self._holders.get(agent_key(int(key)))
        if found is None:
            raise EngineError(
                f"no agent has the key {key!r}; keys look like "
                f"{[agent.key for agent in list(self._holders.values())[:3]]}",
                argument="key",
                value=key,
            )
        return found  # type: ignore[no-any-return]

    def _next(self, kind: type) -> str:
        number = self._numbers[kind] = self._numbers.get(kind, 0) + 1
        return f"{kind.__name__} {number}"
