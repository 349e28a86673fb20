"""Chat templates: what an instruct model expects around a prompt.

The template in a GGUF is a small program. It is run once per model, in a sandbox, with a marker in
the place of the prompt; what comes before and after the marker is put around every prompt. So no
prompt is ever read by the template engine, and `{{ ... }}` in a persona is text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from abm.errors import BackendError

__all__ = ["Frame", "frame"]

_MARKER = "\N{OBJECT REPLACEMENT CHARACTER}prompt\N{OBJECT REPLACEMENT CHARACTER}"


class Frame(NamedTuple):
    """Text before and after a prompt, control tokens included."""

    head: str
    tail: str


def frame(template: str | None, bos: str, eos: str, options: Mapping[str, Any]) -> Frame:
    """What a chat template puts around one message of the user, up to the model's turn.

    Parameters
    ----------
    template
        Jinja source from the GGUF; `None` leaves the prompt bare.
    bos, eos
        Texts of the first and last token, as templates name them.
    options
        Further variables of the template, such as `enable_thinking`.

    Raises
    ------
    BackendError
        The template fails or does not show the message exactly once.

    Examples
    --------
    >>> frame("<u>{{ messages[0].content }}<a>", "", "", {})
    Frame(head='<u>', tail='<a>')
    """
    if template is None:
        return Frame("", "")
    shown = _render(template, bos, eos, options)
    head, *tail = shown.split(_MARKER)
    if len(tail) != 1:
        raise BackendError(
            f"the chat template of the model shows the prompt {len(tail)} times, expected once; "
            "use LlamaCpp(..., chat=False) and write the model's turns in the question template"
        )
    return Frame(head, tail[0])


def _render(template: str, bos: str, eos: str, options: Mapping[str, Any]) -> str:
    from jinja2 import TemplateError
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.globals["raise_exception"] = _refuse
    try:
        return environment.from_string(template).render(
            messages=[{"role": "user", "content": _MARKER}],
            add_generation_prompt=True,
            bos_token=bos,
            eos_token=eos,
            **options,
        )
    except (TemplateError, TypeError, ValueError) as error:
        raise BackendError(
            f"the chat template of the model cannot be applied: {error}; give what it needs in "
            "chat_options, or use LlamaCpp(..., chat=False)"
        ) from error


def _refuse(message: str) -> str:
    raise ValueError(message)
