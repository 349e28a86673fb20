"""Compiled drivers on disk: found again by what they are, never taken for another."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import namedtuple
from typing import NamedTuple

import numpy as np
import pytest

from abm.kernels import building, has_numba, run_population
from abm.kernels.fingerprint import NoFingerprint, fingerprint

compiled = pytest.mark.skipif(not has_numba(), reason="Numba is not installed")
SCALE = 2.0


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder, and a process that has forgotten its drivers."""
    monkeypatch.setenv("AGORA_CACHE", str(tmp_path))
    monkeypatch.setattr(building, "_forms", {})
    monkeypatch.setattr(building, "_refused", {})
    monkeypatch.setattr(building, "_work", {})
    monkeypatch.setattr(building, "_not_kept", set())
    building._driver.cache_clear()
    return tmp_path / "kernels"


@pytest.fixture
def compilations(monkeypatch):
    """Names of the functions that Numba compiles from now on."""
    from numba.core import compiler

    names, real = [], compiler.compile_extra

    def counted(typing, target, function, *rest, **options):
        names.append(function.__name__)
        return real(typing, target, function, *rest, **options)

    monkeypatch.setattr(compiler, "compile_extra", counted)
    return names


# ---------------------------------------------------------------------- fingerprints


def shifted(k, default=1.0):
    return lambda own, other, p, d=default: (own + k * d, other)


def scaled(own, other, p):
    return own * SCALE, other


def test_a_fingerprint_is_what_a_function_does(monkeypatch):
    assert fingerprint(shifted(1)) == fingerprint(shifted(1))
    told = [
        fingerprint(f)
        for f in (
            shifted(1),
            shifted(1.0),
            shifted(True),
            shifted(-0.0),
            shifted(0.0),
            shifted(1, 2.0),
            shifted(np.float32(1)),
        )
    ]
    assert len(set(told)) == len(told)
    before = fingerprint(scaled)
    monkeypatch.setitem(globals(), "SCALE", 3.0)
    assert fingerprint(scaled) != before


def test_a_fingerprint_reads_through_helpers_to_any_depth():
    def world(constant):
        def deep(x):
            return x * constant if x > 0 else shallow(x)

        def shallow(x):
            return deep(x + 1) if x < -9 else x

        return lambda own, other, p: (shallow(own), other)

    assert fingerprint(world(2)) == fingerprint(world(2)) != fingerprint(world(3))


def test_what_cannot_be_read_through_has_no_fingerprint():
    table = np.ones(3)
    for unknown in (lambda x: table[x], lambda x: undefined_name, lambda x: pytest.skip):  # noqa: F821
        with pytest.raises(NoFingerprint):
            fingerprint(unknown)


# ---------------------------------------------------------------------- on disk


def kept(function, **options):
    """A function as drivers are compiled."""
    import numba

    from abm.kernels.kept import keep

    return keep(numba.njit(**options)(function))


def times(k):
    """A new function every time, as in a notebook that is run again."""

    def rule(x, p):
        return k * p[0] * x

    return rule


def order(state, p):
    for i in range(len(state[0])):
        state[0][i] = p[0] * state[0][i] + i


@compiled
def test_whether_a_rule_is_compiled_follows_from_its_work_and_from_what_is_kept(
    folder, monkeypatch
):
    """Limits of 1,000 updates, and 100 for what is kept; rounds on 10 agents; equal on all ways."""
    monkeypatch.setattr(building, "_SMALL", 1000)
    monkeypatch.setattr(building, "_SMALL_IF_KEPT", 100)
    x = np.arange(10.0)

    def go(rounds):
        return run_population(order, (x,), (0.5,), rounds=rounds, rng=np.random.default_rng(1))

    def forget():
        building._driver.cache_clear()
        for memory in (building._forms, building._work, building._not_kept):
            memory.clear()

    few, more = "too little work to compile for", "and it is not kept from before"
    told = [go(9).why, go(2).why, go(88).why, go(1).why, go(1).why]
    assert told == [few, f"{few}, {more}", f"{few}, {more}", "", ""]
    forget()
    assert [go(9).why, go(1).why, go(1).why] == [few, "", ""]
    same = np.arange(10.0)
    run_population(order, (same,), (0.5,), rounds=112, rng=np.random.default_rng(1),
                   compiled=False)  # fmt: skip
    assert x.tolist() == same.tolist()


@compiled
def test_a_function_is_compiled_once_and_a_changed_one_anew(folder, compilations):
    assert kept(times(2.0))(3.0, (0.5,)) == 3.0
    assert compilations == ["rule"]
    assert kept(times(2.0))(3.0, (0.25,)) == 1.5
    assert compilations == ["rule"]
    assert kept(times(4.0))(3.0, (0.5,)) == 6.0
    assert kept(times(2.0), fastmath=True)(3.0, (0.5,)) == 3.0
    assert compilations == ["rule"] * 3
    assert len(list(folder.iterdir())) == 3


@compiled
def test_parameters_of_one_name_and_another_order_are_not_confused(folder):
    def bound(p):
        return p.bound

    for fields in ("rate bound", "bound rate"):
        kind = namedtuple("Step", fields)
        assert kept(bound)(kind(rate=0.5, bound=0.75)) == 0.75
        assert kept(bound)(kind(rate=1.5, bound=1.75)) == 1.75
    assert len(list(folder.iterdir())) == 2


@compiled
def test_what_is_found_is_called_like_what_was_compiled(folder, compilations):
    """The class of a named tuple may be another one in another process, with the same fields."""

    class Step(NamedTuple):
        rate: float

    def rate(p):
        return p.rate

    for _ in range(2):
        function = kept(rate)
        assert [function(Step(r)) for r in (1.0, 2.0, 3.0)] == [1.0, 2.0, 3.0]
        assert len(function.signatures) == 1
    assert compilations == ["rate"]


@compiled
@pytest.mark.parametrize("damage", [b"", b"x" * 40, None])
def test_a_damaged_entry_is_made_anew(folder, compilations, damage):
    kept(times(2.0))(3.0, (0.5,))
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + b"?" if damage is None else damage)
    assert kept(times(2.0))(3.0, (0.5,)) == 3.0
    assert compilations == ["rule"] * 2
    assert len(file.read_bytes()) > len(whole) // 2


@compiled
def test_helpers_count_as_part_of_a_function(folder, compilations):
    import numba

    def with_helper(k):
        helper = numba.njit(lambda gap: k * gap)
        return lambda x: x + helper(x)

    assert [kept(with_helper(k))(1.0) for k in (0.25, 0.5, 0.25)] == [1.25, 1.5, 1.25]
    assert len(list(folder.iterdir())) == 2


@compiled
def test_machine_code_with_names_that_others_may_have_is_not_kept():
    from abm.kernels.kept import _is_own

    marked = f"B20v{2**60 + 5}B38c8tJ"
    assert _is_own(f"_ZN8__main__6helper{marked}Ed")
    assert not _is_own("_ZN8__main__6helperB5v5001B38c8tJEd")
    assert not _is_own("_ZN5numba4sort7factory12_3clocals_3e3runB3v57B38c8tJEd")
    assert _is_own("_ZN3abm7kernels6agenda7rebuildB2v3B36c8tJEd")
    assert not _is_own("_ZN3abm7kernels6events7driving12_3clocals_3e5driveB2v3B36c8tJEd")


@compiled
def test_what_numba_refuses_is_not_tried_again(folder, compilations):
    from abm.kernels.kept import KnownRefusal, keep_refusal

    def texts(x):
        return float(str(x)) + undefined_name  # noqa: F821

    def lists(x):
        return x.sort(key=3)

    for function in (texts, lists):  # the first has no fingerprint
        for _ in range(2):
            driver = kept(function)
            with pytest.raises(Exception, match=r"undefined_name|sort") as caught:
                driver(1.5)
            keep_refusal(driver, caught.value)
    assert compilations == ["texts", "texts", "lists"]
    assert isinstance(caught.value, KnownRefusal)


@compiled
def test_somebody_else_s_folder_is_not_used(folder):
    folder.mkdir()
    folder.chmod(0o777)
    assert kept(times(2.0))(3.0, (0.5,)) == 3.0
    assert list(folder.iterdir()) == []


@compiled
def test_entries_that_were_not_used_for_long_make_room(folder, monkeypatch):
    from abm.kernels import kept as module

    monkeypatch.setattr(module, "_MOST_FILES", 4)
    for k in range(4):
        kept(times(k))(3.0, (0.5,))
    used, *others = folder.iterdir()
    for file in others:
        os.utime(file, (0, 0))
    kept(times(7))(3.0, (0.5,))
    left = list(folder.iterdir())
    assert used in left
    assert len(left) == 2


SCRIPT = """
import sys
import numpy as np
from numba.core import compiler
from abm.kernels import run_rows

def rule(i, state, p, rng):
    state[0][i] += p[0] * rng.random()

if sys.argv[1] == "again":
    compiler.compile_extra = None
x = np.zeros(9)
run_rows(rule, (x,), (0.5,), rounds=5, schedule="sweep", rng=np.random.default_rng(2),
         compiled=True)
print(x.tolist())
"""

ARRAYS = """
import sys, warnings
import numpy as np
from numba.core import compiler
from abm.kernels import RuleWarning, run_population

def order(state, p):  # makes arrays, for which lean code is refused first
    state[0][:] = p[0] * state[0][::-1]

def texts(state, p):  # refused by Numba
    state[0][0] = float.fromhex("0x1p0")

if sys.argv[1] == "again":
    compiler.compile_extra = None
warnings.simplefilter("ignore", RuleWarning)
given = {"rounds": 2, "rng": np.random.default_rng(1)}
x = np.random.default_rng(3).random(20)
assert run_population(order, (x,), (0.5,), **given, compiled=True).compiled
told = run_population(texts, (np.random.default_rng(3).random(30_000),), **given)
assert not told.compiled
print(x.tolist(), told.why)
"""


@compiled
@pytest.mark.parametrize("text", [SCRIPT, ARRAYS], ids=["numbers", "arrays"])
def test_another_process_finds_what_one_has_compiled(folder, tmp_path, text):
    """What Numba compiled for others before is not kept, so each time is a process of its own."""
    script = tmp_path / "script.py"
    script.write_text(text)
    told = []
    for turn in ("first", "again"):
        done = subprocess.run(
            [sys.executable, str(script), turn], capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": os.getcwd()},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-500:]
        told.append(done.stdout)
    assert told[0] == told[1] != ""
