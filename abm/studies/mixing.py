"""Several models in one role: which share of the agents each of them answers.

In a study file::

    citizen = { mixture = { small = { share = 0.8, backend = "small.gguf" },
                            large = { share = 0.2, backend = "large.gguf", mode = "fast" } } }

Every agent keeps its model for life, by its own chance. The policies of the members are called
`citizen.small` and `citizen.large` wherever policies are named.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from abm.errors import PolicyError, ScenarioError, require
from abm.policies.assignment import Mixture
from abm.questions import Answer, Request

if TYPE_CHECKING:
    from abm.studies.answerers import Spec

__all__ = ["Placeholder", "base_role", "expanded", "member_name", "mix", "parse_shares"]


def member_name(role: str, member: str) -> str:
    """Name of the policy of a member.

    Examples
    --------
    >>> member_name("citizen", "small"), base_role("citizen.small")
    ('citizen.small', 'citizen')
    """
    return f"{role}.{member}"


def base_role(name: str) -> str:
    """The role that the policy of a member answers in; a role itself otherwise."""
    return name.partition(".")[0]


def parse_shares(members: Any) -> dict[str, tuple[float, Any]]:
    """Member -> (share, what is left of its table).

    Raises
    ------
    ScenarioError
        Not a table of tables, a share outside [0, 1], or shares that do not sum to 1.

    Examples
    --------
    >>> parse_shares({"a": {"share": 0.5, "backend": "rule"}, "b": {"share": 0.5}})["a"]
    (0.5, {'backend': 'rule'})
    """
    tables = isinstance(members, Mapping) and bool(members)
    require(
        tables and all(isinstance(table, Mapping) for table in members.values()),
        ScenarioError,
        f"mixture = {members!r}, expected a table of members, such as "
        "{ small = { share = 0.5, backend = 'small.gguf' }, ... }",
    )
    found: dict[str, tuple[float, Any]] = {}
    for name, table in members.items():
        rest = dict(table)
        share = rest.pop("share", None)
        good = isinstance(share, (int, float)) and not isinstance(share, bool) and 0 <= share <= 1
        require(
            good and name.replace("_", "").replace("-", "").isalnum(),
            ScenarioError,
            f"mixture member {name!r} with share = {share!r}, expected a name of letters, digits, "
            "'_' and '-', and a share in [0, 1]",
        )
        found[name] = (float(share), rest)
    total = sum(share for share, _ in found.values())
    require(
        math.isclose(total, 1.0, abs_tol=1e-9),
        ScenarioError,
        f"mixture {list(found)}: the shares sum to {total:g}, expected 1",
    )
    return found


def expanded(specs: Mapping[str, Spec]) -> tuple[dict[str, Spec], dict[str, dict[str, float]]]:
    """Role or member -> spec; and role -> member -> share, for roles that are mixtures."""
    plain: dict[str, Spec] = {}
    mixtures: dict[str, dict[str, float]] = {}
    for role, spec in specs.items():
        if not spec.members:
            plain[role] = spec
            continue
        for member, part in spec.members.items():
            plain[member_name(role, member)] = part
        mixtures[role] = {member_name(role, m): spec.shares[m] for m in spec.members}
    return plain, mixtures


def mix(model: Any, mixtures: Mapping[str, Mapping[str, float]]) -> None:
    """Let the members of each mixed role answer for their share of a model's agents."""
    for role, shares in mixtures.items():
        purpose = f"mixture:{role}"
        model.desk.mixtures[role] = Mixture(shares, model.chance_seed, purpose=purpose)


class Placeholder:
    """Stands for a mixed role until its model is built; nobody can be asked before."""

    recorded = False

    def __init__(self, role: str) -> None:
        self.role, self.fingerprint = role, f"mixture:{role}"

    def answer(self, requests: Sequence[Request]) -> Sequence[Answer]:
        """Refuse: who answers is not known yet."""
        raise PolicyError(
            f"role {self.role!r} is answered by several models, and {len(requests)} requests were "
            "raised in the model's constructor, before anybody knew by which; ask from the first "
            "event on",
            policy=self.role,
        )
