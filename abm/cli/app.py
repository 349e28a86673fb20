"""The commands and their options. Each imports what it needs when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from abm.cli.plugins import add_commands

__all__ = ["app"]

app = typer.Typer(
    name="abm",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder that holds the results.")]
ModelFile = Annotated[
    Path | None,
    typer.Option(
        "--model",
        "-m",
        metavar="FILE.gguf",
        help="Language model that replaces every one that the study names.",
    ),
]
Arm = Annotated[str | None, typer.Option(help="Arm of the study; the first by default.")]
Answerer = Annotated[
    str | None,
    typer.Option(help="Answerer of the study, or rule, truth, embedded or a file.gguf."),
]
Replication = Annotated[int, typer.Option("--replication", "-r", min=0, help="Which one.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="NAME=VALUE", help="Set a parameter; may be repeated."),
]


def _show_version(wanted: bool) -> None:
    if wanted:
        import abm

        typer.echo(f"abm {abm.__version__}")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and leave."
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error (works anywhere).")
    ] = False,
) -> None:
    """Agora: agent-based models in which rules and language models share one society.

    A [bold]model[/bold] is run with one set of parameters and one seed; a [bold]study[/bold] is a
    file that compares arms, answerers and replications of a model. Start with

      abm models                         what there is to run

      abm run opinion_network            one run, by rules

      abm study my_study.toml            a whole study, resumable at any time
    """
    del version, debug


@app.command()
def study(
    file: Annotated[Path, typer.Argument(help="The study, a TOML file.", show_default=False)],
    out: Out = Path("runs"),
    workers: Annotated[
        int | None,
        typer.Option("--workers", "-w", min=1, help="Processes that run; 1 is one after another."),
    ] = None,
    model: ModelFile = None,
    replications: Annotated[
        int | None, typer.Option(min=1, help="Runs per arm and answerer, instead of the file's.")
    ] = None,
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="Start anew; earlier results are kept as NAME.previous."),
    ] = False,
    report: Annotated[bool, typer.Option(help="Print the model's table, draw its figures.")] = True,
    tokens: Annotated[
        int | None,
        typer.Option(min=1, help="Stop when so many tokens were asked for; instead of the file's."),
    ] = None,
    hours: Annotated[
        float | None, typer.Option(min=0, help="Stop after so many hours; instead of the file's.")
    ] = None,
) -> None:
    """Execute a study: every arm, answerer and replication that is not there yet.

    Stop it whenever you like, even with kill -9: the same command goes on where it was, and the
    results are the same. They lie in OUT/<study name>/.

    Example:  abm study models/opinion_network/studies/exposure_arms.toml --workers 2
    """
    from abm.cli.study import execute

    execute(file, out, workers, model, replications, fresh, report, tokens, hours)


@app.command()
def plan(
    file: Annotated[Path, typer.Argument(help="The study, a TOML file.", show_default=False)],
    replications: Annotated[
        int, typer.Option(min=1, help="Replications of the dry run, no more than the study has.")
    ] = 2,
    fraction: Annotated[
        float, typer.Option(help="Share of the duration that is run, in (0, 1].")
    ] = 1.0,
    tokens_per_second: Annotated[
        float | None, typer.Option(help="Speed of the models; measured where they can be loaded.")
    ] = None,
    model: ModelFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Estimate what a study costs: questions, tokens, hours, disk. No result is written.

    Rules stand in for the language models in a dry run; what it counts is extrapolated.

    Example:  abm plan models/opinion_network/studies/exposure_arms.toml --fraction 0.2
    """
    from abm.cli.plan import show_plan

    show_plan(file, replications, fraction, tokens_per_second, model, as_json)


@app.command()
def run(
    what: Annotated[
        str,
        typer.Argument(
            metavar="MODEL_OR_STUDY",
            help="A model (see `abm models`, module:Class, file.py:Class) or a study file.",
            show_default=False,
        ),
    ],
    changes: Set = None,
    arm: Arm = None,
    answerer: Answerer = None,
    replication: Replication = 0,
    seed: Annotated[int | None, typer.Option(min=0, help="The one seed.")] = None,
    model: ModelFile = None,
    out: Out = Path("runs"),
) -> None:
    """Execute one run and show its outcomes: to try things out.

    Example:  abm run opinion_network --set duration=10 --answerer embedded
    """
    from abm.cli.run import run_one

    run_one(what, changes or [], arm, answerer, replication, seed, model, out)


@app.command()
def replay(
    folder: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="A run folder, also a copied one.", show_default=False),
    ],
    model_class: Annotated[
        str | None,
        typer.Option(help="The model, if it is not found where it was: file.py:Class."),
    ] = None,
) -> None:
    """Repeat a finished run without any language model and compare it to the bit.

    Every answer is read from the run's own ledger; rules are computed again.

    Example:  abm replay runs/exposure_arms/runs/opposing/embedded/r000
    """
    from abm.cli.run import replay_one

    replay_one(folder, model_class)


@app.command()
def fork(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN", help="A finished run folder.", show_default=False)
    ],
    at: Annotated[
        float, typer.Option("--at", help="Simulated time of the change.", show_default=False)
    ],
    changes: Set = None,
    model: ModelFile = None,
    model_class: Annotated[
        str | None,
        typer.Option(help="The model, if it is not found where it was: file.py:Class."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of forks; the study's by default.")
    ] = None,
) -> None:
    """Repeat a run with one more change at a time: what would have happened if.

    Both runs are equal to the bit until then; only what is new is asked of a language model.

    Example:  abm fork runs/exposure_arms/runs/ordinary/rule/r000 --at 10 --set exposure=opposing
    """
    from abm.cli.run import fork_one

    fork_one(folder, at, changes or [], model, model_class, out)


@app.command()
def prompts(
    file: Annotated[
        Path, typer.Argument(metavar="STUDY", help="A study file.", show_default=False)
    ],
    agent: Annotated[
        str | None,
        typer.Option("--agent", help="Key of the agent that is asked; the first by default."),
    ] = None,
    at: Annotated[float, typer.Option("--at", min=0, help="Simulated time of asking.")] = 0.0,
    arm: Arm = None,
    answerer: Answerer = None,
    replication: Replication = 0,
    model: ModelFile = None,
    question: Annotated[str | None, typer.Option(help="Only the question of this id.")] = None,
    out: Out = Path("runs"),
) -> None:
    """Show what an agent is asked: the prompt exactly as sent, its tokens, the distribution.

    Example:  abm prompts my_study.toml --agent 17 --at 3 --answerer embedded
    """
    from abm.cli.prompts import show_prompts

    show_prompts(file, agent, at, arm, answerer, replication, model, question, out)


@app.command()
def models(
    name: Annotated[
        str | None, typer.Argument(help="A model: shows its parameters, questions and studies.")
    ] = None,
) -> None:
    """List the model families that are installed, or describe one.

    Example:  abm models opinion_network
    """
    from abm.cli.models import describe, list_families

    if name is None:
        list_families()
    else:
        describe(name)


@app.command()
def audit(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="RUN_OR_STUDY", help="A finished run folder, or a study's.", show_default=False
        ),
    ],
    paraphrase: Annotated[
        bool, typer.Option("--paraphrase", help="Ask the recorded requests in other words.")
    ] = False,
    permute: Annotated[
        bool, typer.Option("--permute", help="Ask with the listed options in other orders.")
    ] = False,
    twin: Annotated[
        bool, typer.Option("--twin", help="Ask the rule twin the recorded requests.")
    ] = False,
    halve: Annotated[
        list[str] | None,
        typer.Option(metavar="PARAMETER", help="Repeat the run with this parameter halved."),
    ] = None,
    variants: Annotated[int, typer.Option(min=1, help="Most paraphrases or orders.")] = 5,
    repeat: Annotated[
        bool, typer.Option("--repeat", help="Repeat the run with each variant too: outcomes.")
    ] = False,
    model: ModelFile = None,
    model_class: Annotated[
        str | None,
        typer.Option(help="The model, if it is not found where it was: file.py:Class."),
    ] = None,
) -> None:
    """Say what share of a run was fallback, and how much the words or the model mattered.

    Without options, who decided. Audits are kept beside the study, and its report shows them. Of a
    study, a table by arm and answerer; what is asked for is then done for the first run of each
    arm that a language model answered.

    Example:  abm audit runs/exposure_arms/runs/ordinary/embedded/r000 --paraphrase --twin
    """
    from abm.cli.audit import Wanted, audit_run

    kinds = [
        k for k, on in (("paraphrase", paraphrase), ("permute", permute), ("twin", twin)) if on
    ]
    audit_run(folder, Wanted(kinds, halve or [], variants, repeat, model, model_class))


@app.command()
def odd(
    what: Annotated[
        str,
        typer.Argument(
            metavar="MODEL_OR_STUDY",
            help="A model (see `abm models`, module:Class, file.py:Class), a study or calibration "
            "file, or FAMILY/NAME.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File; printed when none is given.")
    ] = None,
) -> None:
    """Draft the ODD protocol of a model, and mark what a person must write.

    Example:  abm odd opinion_network --out ODD.md
    """
    from abm.cli.odd import show_odd

    show_odd(what, out)


@app.command()
def embedded(
    model: Annotated[
        Path | None,
        typer.Option(
            "--model", "-m", metavar="FILE.gguf", help="Another training of it; the package's own."
        ),
    ] = None,
    per_kind: Annotated[int, typer.Option(min=1, help="Situations per kind of question.")] = 300,
    posts: Annotated[int, typer.Option(min=1, help="Posts that are written and read.")] = 2000,
) -> None:
    """Measure the embedded model against the rule it was trained towards.

    The embedded model is an instrument check: nothing it answers is evidence about people.

    Example:  abm embedded --per-kind 100 --posts 200
    """
    from abm.cli.models import evaluate_embedded

    evaluate_embedded(model, per_kind, posts)


bench = typer.Typer(
    name="bench", no_args_is_help=True, help="Measure speed beside named alternatives."
)
app.add_typer(bench)


@bench.command("llm")
def bench_llm(
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            "-m",
            metavar="FILE.gguf",
            help="A model, or 'embedded'; by default that and a random one of 45 million "
            "parameters.",
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Threads on both sides; as many as the model would take by itself if left out.",
        ),
    ] = None,
    size: Annotated[
        float, typer.Option(min=0.001, max=1.0, help="Share of the full numbers of prompts.")
    ] = 1.0,
    repeats: Annotated[int, typer.Option(min=1, help="Turns of each comparison.")] = 3,
    only: Annotated[list[str] | None, typer.Option(help="A row; may be repeated.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
    remeasure: Annotated[
        bool,
        typer.Option(
            "--remeasure",
            help="Forget the layouts of `fast` that were measured on this machine, of all models.",
        ),
    ] = False,
) -> None:
    """Measure what batching is worth: ratios against named alternatives, in one run.

    Both sides get the same file, threads and prompts. Leave the machine alone meanwhile.

    Example:  abm bench llm --only choices --size 0.2
    """
    from abm.llm.bench.command import bench_llm

    if model is not None and str(model) != "embedded":
        from abm.llm.llamacpp.header import read_header

        read_header(model)  # or each side of a comparison tells in its own words what is wrong
    bench_llm(model, threads, size, repeats, only or [], as_json, remeasure)


add_commands(app)
