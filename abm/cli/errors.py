"""What the terminal shows when something goes wrong: one clear message, and an exit code."""

from __future__ import annotations

import sys
import traceback

from abm.errors import (
    AbmError,
    LedgerError,
    MissingExtra,
    ModelFileError,
    NetworkError,
    PopulationError,
    QuestionError,
    ScenarioError,
)

__all__ = ["FAILED", "REFUSED", "RunsFailed", "guarded"]

FAILED, REFUSED, STOPPED = 1, 2, 130
_INPUT = (
    ScenarioError,
    MissingExtra,
    ModelFileError,
    NetworkError,
    PopulationError,
    QuestionError,
)


class RunsFailed(AbmError):
    """Some runs failed; they have been reported already, so nothing more is printed."""


def guarded(arguments: list[str]) -> int:
    """Run the application; returns its exit code. `--debug` anywhere shows tracebacks."""
    import click

    from abm.cli.app import app

    debug = "--debug" in arguments
    rest = [argument for argument in arguments if argument != "--debug"]
    try:
        return int(app(rest, prog_name="abm", standalone_mode=False) or 0)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        error.show()
        return REFUSED
    except (KeyboardInterrupt, click.Abort):
        _say("stopped. What was finished is kept: give the same command again to go on")
        return STOPPED
    except RunsFailed:
        return FAILED
    except Exception as error:  # the last border: nobody above could say more
        return _told(error, debug)


def _told(error: Exception, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    elif isinstance(error, AbmError):
        _say(f"{type(error).__name__}: {error}")
    else:
        _say(
            f"{type(error).__name__}: {error}\n(this was not expected; `--debug` shows where it "
            "happened)"
        )
    refused = isinstance(error, _INPUT) and not isinstance(error, LedgerError)
    return REFUSED if refused else FAILED


def _say(text: str) -> None:
    print(f"abm: {text}", file=sys.stderr)
