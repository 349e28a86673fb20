"""The embedded model: a small Llama-architecture GGUF of our own, for instrument checks.

It is trained from scratch on a synthetic language whose generating rule is known and is itself a
policy (`truth`). Nothing that either answers is evidence about people; for evidence name a real
GGUF. A question outside the language is the failure `out_of_language`.

Importing this package needs neither llama-cpp-python nor PyTorch.
"""

from abm.llm.embedded import language
from abm.llm.embedded.catalogue import Catalogue, Language, questions
from abm.llm.embedded.instrument import EmbeddedBackend, backend, model_path, policy
from abm.llm.embedded.label import LABEL
from abm.llm.embedded.rule_policy import Truth, truth

__all__ = [
    "LABEL",
    "Catalogue",
    "EmbeddedBackend",
    "Language",
    "Truth",
    "backend",
    "language",
    "model_path",
    "policy",
    "questions",
    "truth",
]
