"""What the terminal shows when something goes wrong: one clear message, and an exit code."""

from __future__ import annotations

import sys
import traceback

from abm.errors import (
    AbmError,
    AnalysisError,
    CalibrationError,
    LedgerError,
    MissingExtra,
    ModelFileError,
    NetworkError,
    PopulationError,
    QuestionError,
    ScenarioError,
)

__all__ = ["FAILED", "REFUSED", "SPENT", "BudgetReached", "RunsFailed", "guarded"]

FAILED, REFUSED, SPENT, STOPPED = 1, 2, 3, 130
_INPUT = (
    ScenarioError,
    AnalysisError,
    CalibrationError,
    MissingExtra,
    ModelFileError,
    NetworkError,
    PopulationError,
    QuestionError,
)
_PATHS = (
    FileExistsError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)


class RunsFailed(AbmError):
    """Some runs failed; they have been reported already, so nothing more is printed."""


class BudgetReached(AbmError):
    """The study's budget is spent; that has been told already, so nothing more is printed."""


def guarded(arguments: list[str]) -> int:
    """Run the application; returns its exit code. `--debug` anywhere shows tracebacks."""
    import typer

    from abm.cli.app import app

    debug = "--debug" in arguments
    rest = [argument for argument in arguments if argument != "--debug"]
    try:
        code = int(app(rest, prog_name="abm", standalone_mode=False) or 0)
    except typer.Exit as end:
        code = end.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = STOPPED
    except RunsFailed:
        return FAILED
    except BudgetReached:
        return SPENT
    except Exception as error:  # the last border: nobody above could say more
        return _told(error, debug)
    if code == STOPPED:
        _say("stopped. What was finished is kept: give the same command again to go on")
    return code


def _told(error: Exception, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    elif _is_usage(error):
        error.show()  # type: ignore[attr-defined]
        return REFUSED
    elif isinstance(error, AbmError):
        _say(f"{type(error).__name__}: {error}")
    elif _is_path(error):
        _say(
            f"{error.filename}: {error.strerror}; give another file or folder "  # type: ignore[attr-defined]
            "(`--debug` shows what wanted it)"
        )
    else:
        _say(
            f"{type(error).__name__}: {error}\n(this was not expected; `--debug` shows where it "
            "happened)"
        )
    refused = isinstance(error, _INPUT) and not isinstance(error, LedgerError)
    return REFUSED if refused or _is_path(error) else FAILED


def _is_path(error: Exception) -> bool:
    """Whether a file or folder cannot be what the command line made of it."""
    return isinstance(error, _PATHS) and bool(error.filename)


def _is_usage(error: Exception) -> bool:
    """Whether the command line itself was wrong; the class is typer's or click's, by version."""
    return callable(getattr(error, "show", None)) and hasattr(error, "exit_code")


def _say(text: str) -> None:
    print(f"abm: {text}", file=sys.stderr)
