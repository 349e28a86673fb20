"""The ledger file: what goes in comes out to the bit, and nothing breaks it."""

import math
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from abm.errors import LedgerError
from abm.ledger import Entry, Failure, Ledger, answer_key, write_ledger
from abm.questions import Answer, Kind, Question, Request, Status, TextConstraint

BAN = Question("ban", 1, "Age {age}. Ban cars?", ("yes", "no"))
POST = Question("post", 2, "Write about {topic}.", text=TextConstraint(40, json_schema='{"a": 1}'))


def entry(age, scores=(0.0, -1.0), fingerprint="model", **values):
    answer = Answer(scores=scores, **values)
    return Entry(fingerprint, BAN.request({"age": age}), answer)


def same_bits(a: Answer, b: Answer) -> bool:
    def bits(answer):
        numbers = (*(answer.scores or ()), answer.coverage or 0.0)
        return np.array(numbers, dtype=np.float64).tobytes()

    return bits(a) == bits(b) and a.to_row().keys() == b.to_row().keys() and repr(a) == repr(b)


def test_scores_return_to_the_bit(tmp_path):
    rng = np.random.default_rng(5)
    awkward = [-0.0, 5e-324, 1 / 3, -math.inf, 1.7976931348623157e308, -1e-300, 0.1 + 0.2]
    rows = [tuple(rng.permutation(awkward)[:2].tolist()) for _ in range(50)]
    rows += [tuple(rng.normal(size=2).tolist()) for _ in range(200)]
    entries = [entry(age, row, coverage=float(rng.random())) for age, row in enumerate(rows)]
    with Ledger(tmp_path / "l.sqlite") as ledger:
        ledger.put_batch(entries)
    with Ledger(tmp_path / "l.sqlite") as ledger:
        found = ledger.get_many([e.key for e in entries])
    assert all(same_bits(found[e.key], e.answer) for e in entries)


@pytest.mark.parametrize(
    "text",
    ["", "naïve 🙂 <|im_end|>", "nul \0 inside\0", "lone \ud800 half", "line\r\nbreak\u2028"],
)
def test_texts_return_unchanged_whatever_they_hold(tmp_path, text):
    request = POST.request({"topic": text}, seed=7)
    answer = Answer(text=text, status=Status.TRUNCATED, detail=text, kind=Kind.CONDITIONAL)
    with Ledger(tmp_path / "l.sqlite") as ledger:
        ledger.put_batch([Entry("model", request, answer)])
        ((key, back),) = list(ledger.entries())
    assert back.answer == answer
    assert back.request == request
    assert key == answer_key("model", request)


def test_a_request_read_back_is_the_same_request(tmp_path):
    fields = {"a": "x", "b": 1, "c": 0.1, "d": True, "e": ("one", "two"), "f": 2**70, "g": ()}
    question = Question("q", 3, "{a} {b} {c} {d} {e}", ("no", "yes", "maybe"), draw="persistent")
    request = question.request(fields)
    with Ledger(tmp_path / "l.sqlite") as ledger:
        ledger.put_batch([Entry("model", request, Answer(scores=(0.0, 0.0, 0.0)))])
        ((_, back),) = list(ledger.entries(question="q", fingerprint="model"))
        assert list(ledger.entries(question="other")) == []
    assert back.request.key == request.key
    assert back.request.prompt == request.prompt
    assert dict(back.request.fields) == fields


def test_answers_of_different_policies_do_not_mix(tmp_path):
    request = BAN.request({"age": 1})
    one = Entry("one", request, Answer(scores=(0.0, -1.0)))
    two = Entry("two", request, Answer(scores=(-1.0, 0.0)))
    with Ledger(tmp_path / "l.sqlite") as ledger:
        ledger.put_batch([one, two])
        found = ledger.get_many([one.key, two.key])
        assert ledger.fingerprints() == ["one", "two"]
    assert found == {one.key: one.answer, two.key: two.answer}


def test_more_keys_than_one_query_holds_are_found(tmp_path):
    entries = [entry(age) for age in range(1300)]
    with Ledger(tmp_path / "l.sqlite") as ledger:
        ledger.put_batch(entries)
        found = ledger.get_many([e.key for e in entries] + ["unknown"])
        assert len(ledger) == len(found) == 1300


def test_a_failure_without_content_is_no_shared_answer(tmp_path):
    lost = Entry("model", BAN.request({"age": 1}), Answer.failed(Status.TIMEOUT, "30 s"))
    with Ledger(tmp_path / "l.sqlite") as ledger:
        with pytest.raises(LedgerError, match="timeout"):
            ledger.put_batch([entry(2), lost])
        assert len(ledger) == 0
        ledger.put_batch([entry(2)], [Failure("run 1", 0, lost)])
        assert ledger.failures("run 1") == {(lost.key, 0): lost.answer}
        assert ledger.failures("run 2") == {}
        ledger.forget_failures("run 1")
        assert ledger.failures("run 1") == {}
        assert len(ledger) == 1


def test_an_export_holds_what_was_asked_for_and_replaces_the_old_file(tmp_path):
    entries = [entry(age) for age in range(5)]
    lost = Entry("model", BAN.request({"age": 9}), Answer.failed(Status.TIMEOUT, "30 s"))
    target = tmp_path / "run.sqlite"
    target.write_text("an older export")
    with Ledger(tmp_path / "l.sqlite") as ledger:
        ledger.put_batch(entries, [Failure("r", 2, lost), Failure("other", 0, lost)])
        ledger.export([e.key for e in entries[:3]], target, run="r")
        with pytest.raises(LedgerError, match="cannot be exported"):
            ledger.export(["f" * 64], tmp_path / "none.sqlite")
    with Ledger(target, read_only=True) as exported:
        assert dict(exported.entries()) == {e.key: e for e in entries[:3]}
        assert exported.runs_with_failures() == ["r"]
    assert sorted(os.listdir(tmp_path)) == ["l.sqlite", "run.sqlite"]


def test_an_export_replays_from_a_folder_that_cannot_be_written(tmp_path):
    path = tmp_path / "copied" / "run.sqlite"
    path.parent.mkdir()
    write_ledger(path, [entry(1)])
    path.chmod(0o400)
    path.parent.chmod(0o500)
    try:
        with Ledger(path, read_only=True) as one, Ledger(path, read_only=True) as two:
            assert one.get_many([entry(1).key]) == two.get_many([entry(1).key])
            with pytest.raises(LedgerError, match="reading only"):
                one.put_batch([entry(2)])
        assert os.listdir(path.parent) == ["run.sqlite"]
    finally:
        path.parent.chmod(0o700)


def test_equal_contents_make_equal_files(tmp_path):
    entries = [entry(age) for age in range(50)]
    write_ledger(tmp_path / "a.sqlite", entries)
    write_ledger(tmp_path / "b.sqlite", entries)
    assert (tmp_path / "a.sqlite").read_bytes() == (tmp_path / "b.sqlite").read_bytes()


# Locks


def python(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


HOLD = """
    import sys, time
    from abm.ledger import Ledger
    ledger = Ledger(sys.argv[1])
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_refused_by_name_and_a_dead_holder_is_replaced(tmp_path):
    path = tmp_path / "l.sqlite"
    holder = python(HOLD, path)
    try:
        assert holder.stdout.readline().strip() == "held"
        with pytest.raises(LedgerError, match=f"process {holder.pid} on .* started .*wait") as info:
            Ledger(path)
        assert info.value.holder["pid"] == holder.pid
        Ledger(path, read_only=True).close()
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        holder.stdout.close()
        holder.stderr.close()
    assert (tmp_path / "l.sqlite.lock").exists()
    with Ledger(path) as ledger:
        assert len(ledger) == 0
    assert not (tmp_path / "l.sqlite.lock").exists()


def test_the_same_process_cannot_open_a_ledger_twice(tmp_path):
    with (
        Ledger(tmp_path / "l.sqlite"),
        pytest.raises(LedgerError, match=r"this process .*close it"),
    ):
        Ledger(tmp_path / "l.sqlite")
    Ledger(tmp_path / "l.sqlite").close()


def test_a_lock_left_by_another_host_is_not_broken(tmp_path):
    lock = tmp_path / "l.sqlite.lock"
    lock.write_text('{"pid": 1, "host": "elsewhere", "started": "2026-01-01T00:00:00+00:00"}')
    with pytest.raises(LedgerError, match=r"process 1 on elsewhere.*delete"):
        Ledger(tmp_path / "l.sqlite")
    lock.unlink()
    Ledger(tmp_path / "l.sqlite").close()


def test_a_lock_file_that_says_nothing_is_taken_over(tmp_path):
    for text in ("", "not json", "[1]"):
        (tmp_path / "l.sqlite.lock").write_text(text)
        with Ledger(tmp_path / "l.sqlite") as ledger:
            assert len(ledger) == 0


def test_a_forked_child_cannot_use_the_ledger_of_its_parent(tmp_path):
    with Ledger(tmp_path / "l.sqlite") as ledger:
        ledger._process = -1
        with pytest.raises(LedgerError, match="fork"):
            len(ledger)


# Damage


def filled(path, n=200):
    with Ledger(path) as ledger:
        ledger.put_batch([entry(age) for age in range(n)])


@pytest.mark.parametrize("damage", ["truncated", "zeroed page", "text", "empty header"])
def test_a_damaged_file_is_named_and_left_as_it_is(tmp_path, damage):
    path = tmp_path / "l.sqlite"
    filled(path)
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        content = content[: len(content) // 2 + 100]
    elif damage == "zeroed page":
        content[8192:12288] = bytes(4096)
    elif damage == "text":
        content = bytearray(b"these are not the answers you look for")
    else:
        content[:16] = bytes(16)
    path.write_bytes(content)
    with pytest.raises(LedgerError, match=r"l\.sqlite is damaged.*restore"):
        Ledger(path)
    with pytest.raises(LedgerError, match=r"l\.sqlite is damaged.*restore"):
        Ledger(path, read_only=True)
    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["l.sqlite"]


def test_an_answer_that_was_edited_is_not_another_opinion(tmp_path):
    path = tmp_path / "l.sqlite"
    filled(path, 3)
    base = sqlite3.connect(path)
    base.execute("UPDATE answers SET scores = zeroblob(16) WHERE key = ?", (entry(1).key,))
    base.commit()
    base.close()
    with Ledger(path) as ledger:
        assert len(ledger.get_many([entry(0).key])) == 1
        with pytest.raises(LedgerError, match="checksum"):
            ledger.get_many([entry(1).key])


def test_foreign_and_newer_files_are_refused(tmp_path):
    other = sqlite3.connect(tmp_path / "other.sqlite")
    other.execute("CREATE TABLE t (x)")
    other.close()
    with pytest.raises(LedgerError, match="no ledger"):
        Ledger(tmp_path / "other.sqlite")
    filled(tmp_path / "l.sqlite", 1)
    newer = sqlite3.connect(tmp_path / "l.sqlite")
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(LedgerError, match="schema version 99"):
        Ledger(tmp_path / "l.sqlite")
    with pytest.raises(LedgerError, match="does not exist"):
        Ledger(tmp_path / "none.sqlite", create=False)
    with pytest.raises(LedgerError, match="nor does the folder"):
        Ledger(tmp_path / "nowhere" / "l.sqlite")


# Full disks


def fill(ledger, stored):
    for start in range(0, 10_000, 50):
        batch = [entry(age) for age in range(start, start + 50)]
        ledger.put_batch(batch)
        stored += batch


def test_a_full_disk_loses_no_whole_batch(tmp_path):
    path = tmp_path / "l.sqlite"
    stored = []
    with Ledger(path) as ledger:
        ledger._base.execute("PRAGMA max_page_count = 40")
        with pytest.raises(LedgerError, match=r"disk is full.*safe.*resume"):
            fill(ledger, stored)
        assert len(ledger) == len(stored) > 0
    with Ledger(path) as ledger:
        assert set(ledger.get_many([e.key for e in stored])) == {e.key for e in stored}
        ledger.put_batch([entry(-1)])


LIMITED = """
    import resource, signal, sys
    from abm.errors import LedgerError
    from abm.ledger import Entry, Ledger
    from abm.questions import Answer, Question
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    ban = Question("ban", 1, "Age {age}. Ban cars?", ("yes", "no"))
    ledger = Ledger(sys.argv[1])
    try:
        for batch in range(1000):
            entries = [Entry("model", ban.request({"age": 100 * batch + i}),
                             Answer(scores=(0.0, -1.0))) for i in range(100)]
            ledger.put_batch(entries)
            print(batch, flush=True)
    except LedgerError as error:
        print("refused:", error, flush=True)
    ledger.close()
"""


def test_a_file_that_may_not_grow_stops_the_run_with_a_ledger_error(tmp_path):
    done = python(LIMITED, tmp_path / "l.sqlite")
    out, err = done.communicate(timeout=60)
    assert done.returncode == 0, err
    *batches, last = out.strip().splitlines()
    assert last.startswith("refused: ledger")
    assert "safe" in last
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 300_000
    with Ledger(tmp_path / "l.sqlite") as ledger:
        assert len(ledger) == 100 * len(batches) > 0


# Kills


WRITE = """
    import sys
    from abm.ledger import Entry, Ledger
    from abm.questions import Answer, Question
    ban = Question("ban", 1, "Age {age}. Ban cars?", ("yes", "no"))
    with Ledger(sys.argv[1]) as ledger:
        first = len(ledger) // 7
        print("open", flush=True)
        for batch in range(first, 100_000):
            ledger.put_batch([Entry("model", ban.request({"age": 7 * batch + i}),
                                    Answer(scores=(0.1 * batch, -i / 3))) for i in range(7)])
            print(batch, flush=True)
"""


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_whole_batches_and_all_that_were_promised(tmp_path):
    """Twelve kills after random delays (seed 11): the ledger opens and goes on each time."""
    rng, path, promised = np.random.default_rng(11), tmp_path / "l.sqlite", -1
    for _ in range(12):
        writer = python(WRITE, path)
        assert writer.stdout.readline().strip() == "open"
        for _ in range(int(rng.integers(0, 12))):
            promised = int(writer.stdout.readline())
        if rng.random() < 0.5:
            signal.sigtimedwait([], float(rng.random()) * 0.02)
        writer.kill()
        rest = writer.stdout.read().strip().splitlines()
        writer.wait()
        writer.stdout.close()
        writer.stderr.close()
        promised = int(rest[-1]) if rest and rest[-1].isdigit() else promised
        copy = tmp_path / "copy"
        copy.mkdir()
        for file in tmp_path.glob("l.sqlite*"):
            shutil.copy(file, copy)
        with Ledger(copy / "l.sqlite") as ledger:
            n = len(ledger)
            assert n % 7 == 0
            assert n // 7 in (promised + 1, promised + 2)
            for _, found in ledger.entries():
                age = found.request["age"]
                assert found.answer.scores == (0.1 * (age // 7), -(age % 7) / 3)
        shutil.rmtree(copy)
    assert promised > 12


def test_a_request_without_prompt_fields_has_a_key_of_its_own():
    one = Request(BAN, (("age", 1),))
    assert answer_key("m", one) == answer_key("m", BAN.request({"age": 1}))
    assert answer_key("m", one) != answer_key("m", BAN.request({"age": 1.0}))
