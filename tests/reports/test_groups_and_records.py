"""What single agents and groups of them did: heterogeneity in reports, decisions one by one."""

from __future__ import annotations

import polars as pl
import pytest

from abm.analysis.report import (
    read_material,
    recorded_decisions,
    sections,
    word_vectors,
)
from abm.analysis.report.document import Document
from abm.analysis.report.groups import by_group, group_differences, group_effects
from abm.analysis.report.markdown import document_to_markdown
from abm.analysis.report.parts import Parts
from abm.analysis.stability import ASI_GROUPS, stability_index, stability_items
from abm.errors import AnalysisError

ARMS = {"low": {"tax": 0.1}, "high": {"tax": 0.5}}


@pytest.fixture(scope="module")
def divided(make, village):
    return make("divided", model=village.Divided, arms=ARMS, answerers={"rule": {}}, agents=True)


def test_an_arm_that_acts_on_one_bank_only_is_found_out(divided):
    material = read_material(divided)
    means = by_group(material)
    assert set(means["factor"]) == {"bank"}  # the mood is changed by the tax: an outcome, no group
    assert set(means["measure"]) == {"opinion"}
    effects = {r["group"]: r for r in group_effects(material, means, 0.95).to_dicts()}
    assert effects["south"]["estimate"] == pytest.approx(0.4, abs=1e-12)
    assert effects["north"]["estimate"] == pytest.approx(0.0, abs=1e-12)
    (row,) = group_differences(material, means, 0.95).to_dicts()
    assert (row["group"], row["reference"]) == ("south", "north")
    assert row["estimate"] == pytest.approx(0.4, abs=1e-12)
    assert row["n"] == 3


def test_the_report_has_a_section_on_groups(divided, study):
    made = sections.main_results(read_material(divided), 0.95)
    text = document_to_markdown(Document("", (), (made,)))
    assert "Heterogeneity by group" in text
    assert "| rule | bank | south | north | high | opinion | 0.400 (no spread) |" in text
    assert "not certainty" in text
    assert sections.heterogeneity(read_material(study), 0.95) == []  # no run keeps its agents


def test_a_declared_group_that_an_arm_changes_is_refused(make, village):
    class Wrong(village.Divided):
        @classmethod
        def report_parts(cls, study):
            return Parts(groups=("mood",))

    village.Wrong = Wrong
    Wrong.__module__, Wrong.__qualname__ = "village", "Wrong"
    folder = make("wrong", model=Wrong, arms=ARMS, answerers={"rule": {}}, agents=True)
    with pytest.raises(AnalysisError, match="that no arm changes"):
        by_group(read_material(folder))


def test_a_declared_group_of_agents_that_were_not_kept_is_left_out_and_said(make, village):
    class Kept(village.Divided):
        @classmethod
        def report_parts(cls, study):
            return Parts(groups=("bank",))

    village.Kept = Kept
    Kept.__module__, Kept.__qualname__ = "village", "Kept"
    folder = make("forgotten", model=Kept, arms=ARMS, answerers={"rule": {}})
    material = read_material(folder)
    assert by_group(material).height == 0
    text = document_to_markdown(Document("", (), (sections.limits(material),)))
    assert "Effects by bank are not shown" in text


def test_decisions_asked_in_columns_come_back_one_by_one(make, village):
    folder = make("columns", model=village.Columnar, arms={"low": {"tax": 0.1}}, replications=1)
    run = folder / "runs" / "low" / "model" / "r000"
    table = recorded_decisions(run, windows=2)
    stored = pl.read_parquet(run / "decisions.parquet")
    assert table.height == stored["decisions"].sum() == 12 * 3 * 2
    counted = table.group_by("choice").len().sort("choice").rows()
    assert counted == stored.group_by("choice").agg(pl.col("decisions").sum()).sort("choice").rows()
    assert table["intervened"].sum() == stored.filter(status="off_menu")["decisions"].sum() > 0
    asked = table.filter(pl.col("agent").str.to_integer() >= 1000)
    assert asked.height == 36
    assert asked["choice"].n_unique() == 3


def test_decisions_come_back_one_by_one_with_what_the_index_needs(make, village):
    spoken = {
        "villager": {
            "backend": "scripted",
            "score": "village:score",
            "generate": "village:says",
            "name": "talker",
        }
    }
    folder = make(
        "talking", model=village.Talking, arms={"low": {"duration": 4.0}},
        answerers={"model": spoken}, replications=1,
    )  # fmt: skip
    run = folder / "runs" / "low" / "model" / "r000"
    table = recorded_decisions(run, windows=2)
    assert table.height == 12 * 4 * 2
    votes, posts = (table.filter(question=q) for q in ("vote", "post"))
    stored = pl.read_parquet(run / "decisions.parquet").filter(question="vote")
    counted = votes.group_by("choice").len().sort("choice")["len"]
    assert (
        counted.to_list()
        == stored.group_by("choice").agg(n=pl.col("decisions").sum()).sort("choice")["n"].to_list()
    )
    assert votes["intervened"].sum() == stored.filter(status="off_menu")["decisions"].sum()
    assert votes.filter(~pl.col("failed"))["confidence"].min() == pytest.approx(0.5)
    assert set(posts["length"]) == {6, 7, 8, 9}
    assert posts["choice"].null_count() == posts.height
    with_words = table.with_columns(word_vectors(table["text"]).alias("embedding"))
    items = stability_items(
        with_words,
        confidence="confidence",
        length="length",
        failed="failed",
        intervened="intervened",
        role="question",
        group="question",
        embedding="embedding",
        path="text",
    )
    known = {name for names in ASI_GROUPS.values() for name in names}
    assert known - set(items.columns) == {"handoff"}
    assert items.row(0)[1:] == tuple(1.0 for _ in items.columns[1:])
    assert items["length"][1] == pytest.approx(6.5 / 8.5)
    assert items["role"][1] == 1.0
    assert stability_index(items)["recorded"].to_list() == pytest.approx([1.0, 1.0])
