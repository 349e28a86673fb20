"""Training of the embedded model: `python -m abm.llm.embedded.training` (the extra `train`)."""
