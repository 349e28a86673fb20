"""The first example of docs/questions_and_policies.md runs and prints what the page says."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "questions_and_policies.md"


def test_the_example_on_the_page_prints_what_it_says(capsys):
    text = PAGE.read_text()
    code, shown = re.search(r"```python\n(.*?)```\n\n((?:    [^\n]*\n)+)", text, re.S).groups()
    exec(compile(code, str(PAGE), "exec"), {})
    assert capsys.readouterr().out.split() == shown.split()
