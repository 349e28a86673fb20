"""GGUF models in this process, through the low-level functions of llama-cpp-python."""

from abm.llm.llamacpp.backend import LlamaCpp

__all__ = ["LlamaCpp"]
