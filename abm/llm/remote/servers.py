"""What each kind of server wants to be told, on top of the common protocol."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from abm.errors import BackendError
from abm.questions import TextConstraint

__all__ = ["SERVERS", "Server"]


@dataclass(frozen=True)
class Server:
    """A kind of server.

    Attributes
    ----------
    name
        As the user writes it.
    whole
        Fields that switch off the server's own truncation of the distribution it draws from.
    schemas
        How a JSON schema is given: `json_schema` (response_format of OpenAI), `json_object`
        (llama-cpp-python's form of it), `field` (a field of its own; completions only), or none.
    grammar
        Name of the field that takes a GBNF grammar; empty where there is none.
    lists
        Whether it lists its models under `/models`.
    only
        Whether it answers for the listed models alone; others take any name.
    """

    name: str
    whole: Mapping[str, Any] = field(default_factory=dict)
    chat_schemas: str = "json_schema"
    completion_schemas: str = ""
    grammar: str = ""
    lists: bool = True
    only: bool = False

    def constraint(self, constraint: TextConstraint, api: str) -> dict[str, Any]:
        """Fields that bind a text to its constraint.

        Raises
        ------
        BackendError
            The server cannot bind texts so.
        """
        if constraint.grammar is not None:
            if self.grammar:
                return {self.grammar: constraint.grammar}
            self._refuse("a GBNF grammar", "server = 'llama-server', or a JSON schema")
        if constraint.json_schema is None:
            return {}
        schema = json.loads(constraint.json_schema)
        form = self.chat_schemas if api == "chat" else self.completion_schemas
        if form == "json_schema":
            named = {"name": "answer", "schema": schema, "strict": True}
            return {"response_format": {"type": "json_schema", "json_schema": named}}
        if form == "json_object":
            return {"response_format": {"type": "json_object", "schema": schema}}
        if form == "field":
            return {"json_schema": schema}
        return self._refuse(f"a JSON schema in the {api} API", "api = 'chat'")

    def _refuse(self, what: str, remedy: str) -> dict[str, Any]:
        raise BackendError(
            f"server = {self.name!r} does not bind texts to {what}; use {remedy}, or ask without "
            "and check the text in the model",
            value=self.name,
        )


SERVERS = {
    server.name: server
    for server in (
        Server("openai", lists=False),
        Server("vllm", {"top_k": -1, "min_p": 0.0}, completion_schemas="json_schema", only=True),
        Server(
            "llama-server",
            {"top_k": 0, "min_p": 0.0, "repeat_penalty": 1.0},
            completion_schemas="field",
            grammar="grammar",
        ),
        Server(
            "llama-cpp-python",
            {"top_k": 0, "min_p": 0.0, "repeat_penalty": 1.0},
            chat_schemas="json_object",
            grammar="grammar",
        ),
        Server("ollama", only=True),
    )
}
