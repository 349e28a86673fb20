"""What the README shows runs, prints what it says, and names files that exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.llama
def test_the_first_example_builds_a_hybrid_society_and_prints_the_output_shown(tmp_path):
    code, shown = _blocks("python")[0], _blocks("text")[0]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == shown.split()


def test_the_first_example_is_about_twenty_lines_of_the_reader_s_own():
    code = [line for line in _blocks("python")[0].splitlines() if line.strip()]
    assert len(code) <= 40


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_a_link_of_the_readme_leads_somewhere(target):
    assert (ROOT / target).exists()
