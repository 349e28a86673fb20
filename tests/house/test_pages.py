"""Pages lead somewhere, their examples are run, and the commands on them are commands."""

from __future__ import annotations

import doctest
import re
import shlex
import shutil
from importlib.resources import files
from pathlib import Path

import pytest
import typer

from abm.cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT)
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("models/**/*.md"))
)
RUN_HERE = ("docs/embedded_model.md",)
COMMANDS = typer.main.get_command(app)


def _text(page: Path) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def _links() -> list[tuple[str, str]]:
    found = {
        (str(page), target)
        for page in PAGES
        for target in re.findall(r"\]\(([^)#\s]+)", _text(page))
        if "://" not in target
    }
    return sorted(found)


@pytest.mark.parametrize(("page", "target"), _links())
def test_a_link_leads_somewhere(page, target):
    assert (ROOT / page).parent.joinpath(target).exists()


def _anchors(page: Path) -> set[str]:
    """Names of the headings of a page, as they are linked to."""
    prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    heads = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_a_link_to_a_heading_finds_it():
    found = [
        (page, target, anchor)
        for page in PAGES
        for target, anchor in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", _text(page))
        if "://" not in target
    ]
    assert len(found) >= 3
    assert not [
        (str(page), target, anchor)
        for page, target, anchor in found
        if anchor not in _anchors(ROOT / page.parent / target if target else ROOT / page)
    ]


@pytest.mark.parametrize("page", RUN_HERE)
def test_the_examples_of_a_page_are_true(page):
    result = doctest.testfile(str(ROOT / page), module_relative=False)
    assert result.attempted > 3
    assert result.failed == 0


def test_every_page_with_examples_is_run_by_a_test():
    tests = [path.read_text() for path in (ROOT / "tests").rglob("test_*.py")]
    running = "".join(text for text in tests if "doctest.testfile(" in text)
    shown = [page for page in PAGES if ">>>" in _text(page)]
    assert len(shown) > 10
    assert not [page for page in shown if not re.search(rf'"[a-z/]*{page.stem}(\.md)?"', running)]


@pytest.mark.llama
def test_the_examples_on_language_models_run_and_print_what_they_say(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copy(str(files("abm.llm.embedded") / "data" / "embedded.gguf"), "model.gguf")
    parts = re.split(r"```python\n(.*?)```\n", _text(Path("docs/language_models.md")), flags=re.S)
    shown = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert len(shown) == 2
    for code, after in shown.items():
        exec(compile(code, "language_models.md", "exec"), {})
        output = re.match(r"\n((?:    [^\n]*\n)+)", after)
        assert capsys.readouterr().out.split() == (output.group(1).split() if output else [])


def _command_lines() -> list[str]:
    """What pages show as an indented line `abm ...`, without what is said beside it."""
    lines = {
        re.split(r"\s{2,}|\s#", line.strip())[0]
        for page in PAGES
        for line in re.findall(r"^    (abm [a-z].*)$", _text(page), re.MULTILINE)
    }
    return sorted(lines)


@pytest.mark.parametrize("line", _command_lines())
def test_a_command_on_a_page_is_one_with_these_options(line):
    words = shlex.split(line.replace(" --at T", " --at 1"))[1:]
    command, context = COMMANDS, COMMANDS.make_context("abm", words[:])
    while hasattr(command, "resolve_command"):
        name, command, words = command.resolve_command(context, words)
        context = command.make_context(name, words[:], parent=context)
    assert context.params


def _program_lines() -> list[str]:
    """What pages show as `python folder/file.py ...`, indented or within a line."""
    shown = r"(?:^    |`)(python [\w/]+\.py[^`\n]*)"
    return sorted({
        re.split(r"\s{2,}|\s#", line.strip())[0]
        for page in PAGES
        for line in re.findall(shown, _text(page), re.MULTILINE)
    })  # fmt: skip


@pytest.mark.parametrize("line", _program_lines())
def test_a_program_on_a_page_is_there_and_knows_these_options(line):
    _, program, *words = shlex.split(line)
    source = _text(Path(program))
    assert not [word for word in words if word.startswith("--") and f'"{word}"' not in source]


def test_the_page_on_the_command_line_names_every_command():
    page = _text(Path("docs/cli.md"))
    assert not [name for name in COMMANDS.commands if f"    abm {name}" not in page]
