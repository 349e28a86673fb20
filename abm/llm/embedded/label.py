"""The label that everything from the embedded model carries."""

__all__ = ["LABEL"]

LABEL = "instrument check: synthetic answers, no evidence about people"
