"""Language models behind a server that speaks the OpenAI protocol (extra `remote`)."""

from abm.llm.remote.backend import OpenAICompatible

__all__ = ["OpenAICompatible"]
