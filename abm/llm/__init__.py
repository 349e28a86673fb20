"""Language models: backends, and the model that comes with the package.

Importing this package loads no model and needs no llama-cpp-python.
"""

from abm.llm.backend import Backend, Generation, Scored
from abm.llm.llamacpp import LlamaCpp
from abm.llm.loading import load_backend
from abm.llm.scripted import Scripted

__all__ = ["Backend", "Generation", "LlamaCpp", "Scored", "Scripted", "load_backend"]
