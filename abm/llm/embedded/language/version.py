"""Version of the language. Raise it with every change of wording, parser or generating rule."""

__all__ = ["VERSION"]

VERSION = 1
