"""The page on analysis prints what it says, and analysis loads nothing it should not."""

import doctest
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "analysis.md"


def test_the_page_on_analysis_prints_what_it_says():
    result = doctest.testfile(str(PAGE), module_relative=False)
    assert result.attempted > 20
    assert result.failed == 0


def test_analysis_loads_no_model_engine_or_language_model():
    code = (
        "import sys, abm.analysis.figures, abm.analysis.effects, abm.analysis.opinions\n"
        "others = ('abm.models', 'abm.engine', 'abm.llm', 'abm.policies', 'abm.studies')\n"
        "print([name for name in sys.modules if name.startswith(others)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
