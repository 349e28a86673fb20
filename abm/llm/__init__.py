"""Language models: backends, and the model that comes with the package.

Importing this package loads no model and needs no llama-cpp-python.
"""

from abm.llm.backend import Backend, Generation, Scored
from abm.llm.llamacpp import LlamaCpp
from abm.llm.loading import load_backend
from abm.llm.remote import OpenAICompatible
from abm.llm.scripted import Scripted
from abm.llm.statistics import Statistics

__all__ = [
    "Backend",
    "Generation",
    "LlamaCpp",
    "OpenAICompatible",
    "Scored",
    "Scripted",
    "Statistics",
    "load_backend",
]
