"""From a specification, as in a study file, to a backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

from abm.errors import BackendError, require
from abm.llm.backend import Backend

__all__ = ["load_backend"]


def load_backend(spec: str | Path | Mapping[str, Any]) -> Backend:
    """The backend that a specification describes.

    Parameters
    ----------
    spec
        `"embedded"`; the path of a GGUF; or a mapping with `backend` (`embedded`, `llama`, `openai`
        for a server, `scripted`, or the path of a GGUF) and the options of that backend, such as
        `path`, `mode`, `n_ctx`, `n_threads`, or `base_url`, `model`. The functions of a scripted
        backend are callables or `"module:function"`.

    Raises
    ------
    BackendError
        An unknown backend or option.
    ModelFileError
        The model file is missing, truncated or not a GGUF.

    Examples
    --------
    >>> load_backend({"backend": "scripted", "name": "coin"})
    Scripted('coin', version=1)
    >>> load_backend({"backend": "lama", "path": "x.gguf"})
    Traceback (most recent call last):
    ...
    abm.errors.BackendError: backend = 'lama', expected 'embedded', 'llama', ...
    """
    options = dict(spec) if isinstance(spec, Mapping) else {"backend": str(spec)}
    kind = str(options.pop("backend", "llama" if "path" in options else ""))
    if kind.endswith(".gguf") or (kind not in _KINDS and Path(kind).is_file()):
        options["path"], kind = kind, "llama"
    require(
        kind in _KINDS,
        BackendError,
        f"backend = {kind!r}, expected 'embedded', 'llama', 'openai', 'scripted' or the path of a "
        "GGUF file" + _hint(kind, _KINDS),
        value=kind,
    )
    return _KINDS[kind](options)


def _llama(options: dict[str, Any]) -> Backend:
    from abm.llm.llamacpp import LlamaCpp

    require(
        "path" in options,
        BackendError,
        "backend 'llama' needs path = 'model.gguf'; 'embedded' is the model of the package",
    )
    return LlamaCpp(**_known(LlamaCpp, options))


def _embedded(options: dict[str, Any]) -> Backend:
    from abm.llm import embedded
    from abm.llm.llamacpp import LlamaCpp

    require(
        "path" not in options,
        BackendError,
        "backend 'embedded' takes no path: it is the file of the package. Use backend = 'llama'",
    )
    return embedded.backend(**_known(LlamaCpp, options))


def _scripted(options: dict[str, Any]) -> Backend:
    from abm.llm.scripted import Scripted

    for name in ("score", "generate", "embed"):
        if isinstance(options.get(name), str):
            options[name] = _function(name, options[name])
    return Scripted(**_known(Scripted, options))


def _openai(options: dict[str, Any]) -> Backend:
    from abm.llm.remote import OpenAICompatible

    for name in ("base_url", "model"):
        known = _known(OpenAICompatible, options)
        require(
            name in known,
            BackendError,
            f"backend 'openai' needs {name}, such as base_url = 'http://localhost:8080/v1', "
            "model = 'the name that the server knows'",
        )
    return OpenAICompatible(**options)


_KINDS: dict[str, Callable[[dict[str, Any]], Backend]] = {
    "embedded": _embedded,
    "llama": _llama,
    "openai": _openai,
    "scripted": _scripted,
}


def _function(name: str, where: str) -> Any:
    module, colon, attribute = where.partition(":")
    try:
        found = getattr(import_module(module), attribute) if colon else None
    except (ImportError, AttributeError) as error:
        raise BackendError(f"{name} = {where!r}: {error}", value=where) from error
    require(
        callable(found),
        BackendError,
        f"{name} = {where!r}, expected 'module:function'",
        value=where,
    )
    return found


def _known(kind: type, options: dict[str, Any]) -> dict[str, Any]:
    names = [name for name in signature(kind).parameters if name != "self"]
    for name in options:
        require(
            name in names,
            BackendError,
            f"unknown option {name!r} of a language model, expected some of {names}"
            + _hint(name, names),
            value=name,
        )
        _check_type(name, options[name], str(signature(kind).parameters[name].annotation))
    return options


_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "bool": ((bool,), "true or false"),
    "str": ((str,), "a text"),
    "Mapping[str, Any]": ((Mapping,), "a table"),
}


def _check_type(name: str, value: Any, annotation: str) -> None:
    """Refuse a value of another type than an option has; what is written otherwise is let pass."""
    wanted, _, none = annotation.partition(" | ")
    if wanted not in _TYPES or (value is None and none == "None"):
        return
    types, said = _TYPES[wanted]
    good = isinstance(value, types) and (isinstance(value, bool) == (bool in types))
    require(good, BackendError, f"{name} = {value!r}, expected {said}", value=value)


def _hint(word: str, names: Any) -> str:
    close = get_close_matches(word, list(names), 1)
    return f"; did you mean {close[0]!r}?" if close else ""
