"""Answerers: what a study writes for "who answers", and the policy that stands for it.

A spec is one of

=====================  ==========================================================================
``"rule"``             the rule twin that the model ships for the role
``"truth"``            the exact rule of the embedded model's synthetic language
``"embedded"``         the embedded model (an instrument check: no evidence about people)
``"path.gguf"``        a language model file; the path starts at the study's folder
``{backend = ...}``    a table: one of the above or a backend's own options, and `coverage_floor`,
                       `temperature`, `option_bias`, `reasoning`
``{mixture = {...}}``  several of these, each with its share of the agents: see `abm.studies.mixing`
a Policy               in Python only
=====================  ==========================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from abm.errors import AbmError, ScenarioError, require
from abm.policies.base import Policy
from abm.policies.coverage import DEFAULT_FLOOR
from abm.questions import Transform
from abm.studies.mixing import parse_shares
from abm.studies.shelf import Shelf

__all__ = ["INSTRUMENT_CHECK", "Spec", "answers_in_process", "parse_spec"]

INSTRUMENT_CHECK = "instrument check: synthetic answers, no evidence about people"

_AFTER = ("coverage_floor", "temperature", "option_bias")


@dataclass(frozen=True)
class Spec:
    """One parsed spec.

    Attributes
    ----------
    kind
        `rule`, `truth`, `backend`, `policy` or `mixture`.
    backend
        What `abm.llm.load_backend` takes, for `backend`.
    policy
        The policy itself, for `policy`.
    transform
        Declared transform of the scores, or `None`.
    coverage_floor
        Least mass on the menu; `None` for the default.
    shares, members
        Member -> share of the agents, and member -> spec, for `mixture`.
    reasoning
        Most tokens of thoughts before each choice; 0 for none.
    labelled
        What outputs must say, where it is known from a manifest; else it follows from the backend.
    """

    kind: str
    backend: str | Mapping[str, Any] | None = None
    policy: Policy | None = None
    transform: Transform | None = None
    coverage_floor: float | None = None
    labelled: str | None = None
    shares: Mapping[str, float] = field(default_factory=dict)
    members: Mapping[str, Spec] = field(default_factory=dict)
    reasoning: int = 0

    @property
    def is_language_model(self) -> bool:
        """Whether `--model` replaces it."""
        return self.kind == "backend"

    @property
    def asks_a_model(self) -> bool:
        """Whether it is a language model, or a mixture with one."""
        return self.is_language_model or any(m.asks_a_model for m in self.members.values())

    @property
    def recorded(self) -> bool:
        """Whether its answers go to the ledger."""
        if self.policy is not None:
            return bool(self.policy.recorded)
        return self.kind == "backend"

    @property
    def label(self) -> str:
        """What every output made with it must say; empty for most."""
        if self.labelled is not None:
            return self.labelled
        synthetic = self.kind == "truth" or self.backend_name == "embedded"
        return INSTRUMENT_CHECK if synthetic else ""

    @property
    def backend_name(self) -> str:
        """`embedded`, the path of a GGUF, or empty."""
        if isinstance(self.backend, Mapping):
            return str(self.backend.get("path", self.backend.get("backend", "")))
        return self.backend or ""

    def described(self) -> Any:
        """Plain value that says the same, for a manifest. Python policies by fingerprint."""
        if self.policy is not None:
            kind = getattr(self.policy, "stands_for", type(self.policy).__name__)
            return {"policy": kind, "fingerprint": self.policy.fingerprint}
        if self.members:
            return {"mixture": {name: self._member(name) for name in self.members}}
        plain: dict[str, Any] = {}
        if self.coverage_floor is not None:
            plain["coverage_floor"] = self.coverage_floor
        if self.transform is not None:
            plain["temperature"] = self.transform.temperature
            plain["option_bias"] = list(self.transform.option_bias)
        if self.reasoning:
            plain["reasoning"] = self.reasoning
        if self.kind != "backend":
            return {"backend": self.kind, **plain} if plain else self.kind
        if isinstance(self.backend, Mapping):
            return {**self.backend, **plain}
        return {"backend": self.backend, **plain} if plain else self.backend

    def _member(self, name: str) -> dict[str, Any]:
        plain = self.members[name].described()
        table = plain if isinstance(plain, Mapping) else {"backend": plain}
        return {"share": self.shares[name], **table}

    @property
    def floor(self) -> float:
        """The coverage floor that judges its answers."""
        if self.policy is not None:
            declared = getattr(self.policy, "coverage_floor", None)
            return 0.0 if declared is None else float(declared)
        return DEFAULT_FLOOR if self.coverage_floor is None else self.coverage_floor

    def build(self, twin: Policy, shelf: Shelf | None = None) -> Policy:
        """The policy. Loads the model file of a language model, once per `shelf`."""
        if self.policy is not None:
            return self.policy
        if self.kind == "rule":
            return twin
        if self.kind == "truth":
            from abm.llm import embedded

            return cast(Policy, embedded.truth())
        return _language_model(self, shelf or Shelf())

    def with_model(self, path: Path) -> Spec:
        """The same spec with another model file; llama.cpp's options of a table are kept."""
        if self.members:
            members = {name: spec.with_model(path) for name, spec in self.members.items()}
            return replace(self, members=members)
        if not self.is_language_model:
            return self
        if isinstance(self.backend, Mapping):
            dropped = {"backend", "path"}
            if not _in_process(self.backend):  # options of a server say nothing to a file
                dropped = set(self.backend)
            kept = {k: v for k, v in self.backend.items() if k not in dropped}
            return replace(self, backend={"backend": str(path), **kept})
        return replace(self, backend=str(path))


def parse_spec(value: Any, folder: Path) -> Spec:
    """Read a spec; relative paths start at `folder`.

    Raises
    ------
    ScenarioError
        Not a spec, an unknown option, or a model file that does not exist.

    Examples
    --------
    >>> parse_spec("rule", Path(".")).recorded
    False
    >>> parse_spec("embeded", Path("."))
    Traceback (most recent call last):
    abm.errors.ScenarioError: 'embeded', expected ... did you mean 'embedded'?
    """
    if isinstance(value, Spec):
        return value
    if isinstance(value, str):
        return _from_text(value, folder)
    if isinstance(value, Mapping):
        return _from_table(dict(value), folder)
    if isinstance(value, Policy):
        return Spec("policy", policy=value)
    if hasattr(value, "score") and hasattr(value, "fingerprint"):
        from abm.policies.llm import LLMPolicy

        return Spec("policy", policy=LLMPolicy(value))
    raise _unknown(value)


def _from_text(value: str, folder: Path) -> Spec:
    if value in ("rule", "truth"):
        return Spec(value)
    if value == "embedded":
        return Spec("backend", backend="embedded")
    if value.endswith(".gguf"):
        return Spec("backend", backend=_file(value, folder))
    raise _unknown(value)


def answers_in_process(spec: Spec) -> bool:
    """Whether its language model is loaded into this process, rather than asked elsewhere."""
    if isinstance(spec.backend, Mapping):
        return _in_process(spec.backend) or spec.backend.get("backend") == "scripted"
    return spec.backend is not None


def _in_process(table: Mapping[str, Any]) -> bool:
    named = str(table.get("backend", ""))
    return named in ("", "llama", "embedded") or named.endswith(".gguf")


def _from_mixture(table: dict[str, Any], folder: Path) -> Spec:
    members = parse_shares(table.pop("mixture"))
    require(
        not table,
        ScenarioError,
        f"{sorted(table)} beside mixture: give options to its members",
    )
    specs = {}
    for name, (_, rest) in members.items():
        specs[name] = parse_spec(rest, folder)
        require(
            not specs[name].members, ScenarioError, f"mixture member {name!r} is a mixture itself"
        )
    shares = {name: share for name, (share, _) in members.items()}
    return Spec("mixture", shares=shares, members=specs)


def _from_table(table: dict[str, Any], folder: Path) -> Spec:
    if "mixture" in table:
        return _from_mixture(table, folder)
    after = {name: table.pop(name) for name in _AFTER if name in table}
    reasoning = table.pop("reasoning", 0)
    whole = isinstance(reasoning, int) and not isinstance(reasoning, bool) and reasoning >= 0
    require(
        whole,
        ScenarioError,
        f"reasoning = {reasoning!r}, expected a number of tokens >= 0 to think before a choice",
    )
    named = table.get("backend", table.get("path"))
    require(
        isinstance(named, str),
        ScenarioError,
        f"{table}, expected a table with backend = 'embedded', a file 'model.gguf', or the name "
        "of a backend",
    )
    assert isinstance(named, str)
    if named in ("rule", "truth"):
        rest = sorted(set(table) - {"backend"})
        require(not rest, ScenarioError, f"{rest}: options that {named!r} does not have")
        spec = Spec(named)
    else:
        files = {
            key: _file(table[key], folder)
            for key in ("backend", "path")
            if str(table.get(key, "")).endswith(".gguf") or (key == "path" and key in table)
        }
        spec = Spec("backend", backend={**table, **files})
    floor = after.pop("coverage_floor", None)
    require(
        not reasoning or spec.is_language_model,
        ScenarioError,
        f"reasoning = {reasoning} for {named!r}, which is no language model",
    )
    floor, transform = _floor(floor), _transform(after)
    return replace(spec, coverage_floor=floor, transform=transform, reasoning=reasoning)


def _floor(value: Any) -> float | None:
    good = value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))
    require(
        good and (value is None or 0 <= value <= 1),
        ScenarioError,
        f"coverage_floor = {value!r}, expected 0 <= coverage_floor <= 1",
    )
    return None if value is None else float(value)


def _transform(values: dict[str, Any]) -> Transform | None:
    if not values:
        return None
    try:
        bias = tuple(float(v) for v in values.get("option_bias", ()))
        return Transform(float(values.get("temperature", 1.0)), bias)
    except (TypeError, ValueError) as error:
        raise ScenarioError(f"{values}, expected numbers: {error}") from error
    except AbmError as error:
        raise ScenarioError(str(error)) from error


def _file(written: str, folder: Path) -> str:
    path = (folder / Path(written).expanduser()).resolve()
    require(
        path.is_file(),
        ScenarioError,
        f"{written!r}, expected an existing GGUF file; there is none at {path}. Give the path "
        "from the study's folder, an absolute path, or `--model file.gguf`",
        value=written,
    )
    return str(path)


def _unknown(value: Any) -> ScenarioError:
    from abm.studies.parameters import closest

    names = ("rule", "truth", "embedded")
    hint = closest(value, names) if isinstance(value, str) else ""
    hint = f"; {hint}" if hint.startswith("did") else ""
    return ScenarioError(
        f"{value!r}, expected 'rule', 'truth', 'embedded', a file 'model.gguf' or a table "
        f"{{backend = ...}}{hint}",
        value=value,
    )


def _language_model(spec: Spec, shelf: Shelf) -> Policy:
    from abm.policies.llm import LLMPolicy
    from abm.policies.reasoning import ReasoningPolicy

    assert spec.backend is not None
    backend = shelf.backend(spec.backend)
    if spec.reasoning:
        return ReasoningPolicy(backend, budget=spec.reasoning, coverage_floor=spec.floor)
    return LLMPolicy(backend, coverage_floor=spec.floor)
