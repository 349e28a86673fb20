"""The examples of docs/questions_and_policies.md run, and print what the page says."""

import re
from pathlib import Path

from abm import Question
from abm.ledger import Ledger, Recorded
from abm.llm import Scripted
from abm.policies import LLMPolicy, SurrogatePolicy

PAGE = Path(__file__).parents[2] / "docs" / "questions_and_policies.md"
BLOCKS = re.findall(r"```python\n(.*?)```\n\n((?:    [^\n]*\n)*)", PAGE.read_text(), re.DOTALL)


def test_the_example_on_the_page_prints_what_it_says(capsys):
    code, shown = BLOCKS[0]
    exec(compile(code, str(PAGE), "exec"), {})
    assert shown
    assert capsys.readouterr().out.split() == shown.split()


def test_a_surrogate_is_fitted_as_the_page_shows(tmp_path, capsys):
    question = Question("ban", 1, "You are {age}. Ban cars?", ("yes", "no"))
    keen = Scripted(score=lambda text, options: [0.8, 0.2] if "are 2" in text else [0.3, 0.7])
    assert len(BLOCKS) == 2
    names = {"SurrogatePolicy": SurrogatePolicy}
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        requests = [question.request({"age": age}) for age in range(20, 60)]
        Recorded(LLMPolicy(keen), ledger).answer(requests)
        exec(compile(BLOCKS[1][0], str(PAGE), "exec"), {"ledger": ledger, **names})
    assert "ban" in capsys.readouterr().out
