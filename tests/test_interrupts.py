"""Ctrl-C: whenever it comes, one sentence, exit code 130 and no traceback; the same command then goes on."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from command_line import TOOL
from real_labels import LABEL_FILE
from test_build import wbm_file

from wyckoffkit.interrupts import EXIT_CODE

# These come before the first line that can answer. After the last one, Python dies of the signal, and says nothing.
FIRST_FILES = r"/(__editable__\w+|wyckoffkit/__init__|cli/(__init__|main)|wyckoffkit/interrupts|__main__)\.py$"


def begin(command: list[str], stdin: int | None = None) -> subprocess.Popen[str]:
    """In a group of its own, as a shell starts it."""
    return subprocess.Popen(
        command,
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # what runs in the background of a shell ignores interrupts, and so would its children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def interrupt(process: subprocess.Popen[str]) -> str:
    """As a terminal does: every process of the group hears it. What was said."""
    with suppress(ProcessLookupError):  # it may have ended
        os.killpg(process.pid, signal.SIGINT)
    return process.communicate(timeout=120)[1]


def told(process: subprocess.Popen[str], error: str) -> str:
    """How it ended: "told" in one sentence, "done" before, or with Python itself starting or ending: "python"."""
    said = error.count("interrupted; ")  # a folder of a test may be named after an interrupt, too
    if process.returncode == 0:
        assert not said, error
        return "done"
    frames = re.findall(r'File "(/[^"]+)"', error)
    ours = [file for file in frames if "/lib/python" not in file or "site-packages" in file]
    if process.returncode != EXIT_CODE and not said and all(re.search(FIRST_FILES, f) for f in ours):
        return "python"
    assert "Traceback" not in error, error
    assert said == 1, (process.returncode, error)
    assert process.returncode == EXIT_CODE
    return "told"


def python(script: str) -> list[str]:
    return [sys.executable, "-c", f"from wyckoffkit.interrupts import *\n{script}"]


def interrupt_where_it_says(command: list[str]) -> tuple[subprocess.Popen[str], str]:
    process = begin(command)
    assert process.stderr is not None
    assert process.stderr.readline() == "now\n"
    return process, interrupt(process)


NOW = "import sys, time; sys.stderr.write('now\\n'); sys.stderr.flush()"


@pytest.mark.parametrize(
    "body",
    [
        "while True: time.sleep(1)",
        "exec('time.sleep(60)')",
        "try: time.sleep(60)\n except KeyboardInterrupt: raise ImportError('as numpy does')",
        "try: time.sleep(60)\n except KeyboardInterrupt: sys.exit(0)",
        "from wyckoffkit.interrupts import uninterrupted\n with uninterrupted(): time.sleep(1.5)\n time.sleep(60)",
    ],
)
def test_whatever_becomes_of_the_exception_the_command_ends_in_a_sentence(body: str) -> None:
    script = f"def body():\n how_to_go_on(lambda: 'do as before')\n {NOW}\n {body}\ninterruptible('x', body)"
    process, error = interrupt_where_it_says(python(script))
    assert (process.returncode, error) == (EXIT_CODE, "x: interrupted; do as before\n")


def test_an_interrupt_that_a_finalizer_swallows_comes_again() -> None:
    """Also into the system call that follows."""
    body = f"class Held:\n  def __del__(self): {NOW}; time.sleep(60)\n held = Held(); del held; time.sleep(60)"
    process = begin(python(f"def body():\n {body}\ninterruptible('x', body)"))
    assert process.stderr is not None
    assert process.stderr.readline() == "now\n"
    time.sleep(0.2)  # it is asleep by then
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=30)[1] == "x: interrupted; give the same command again\n"
    assert process.returncode == EXIT_CODE


def test_a_second_interrupt_does_not_wait_for_what_the_first_unwinds() -> None:
    body = (
        f"try:\n  {NOW}\n  time.sleep(60)\n finally:\n  sys.stderr.write('now\\n'); sys.stderr.flush(); time.sleep(60)"
    )
    process = begin(python(f"def body():\n {body}\ninterruptible('x', body)"))
    assert process.stderr is not None
    for pause in (0, 1.1):
        assert process.stderr.readline() == "now\n"
        time.sleep(pause)
        os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=30)[1] == "x: interrupted; give the same command again\n"
    assert process.returncode == EXIT_CODE


def test_a_command_that_ignores_interrupts_goes_on_ignoring_them() -> None:
    """As it is told to in the background of a shell."""
    script = (
        f"def body():\n {NOW}; time.sleep(0.5)\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\ninterruptible('x', body)"
    )
    process, error = interrupt_where_it_says(python("import signal\n" + script))
    assert (process.returncode, error) == (0, "")


WORKERS = """
import multiprocessing, sys, time
from wyckoffkit.interrupts import starting_workers
def serve(pipe):
    pipe.send(0)
    time.sleep(1)
    pipe.send(1)
if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs,))
    try:
        with starting_workers():
            process.start()
            sys.stderr.write("now\\n"); sys.stderr.flush()
            time.sleep(0.5)
    except KeyboardInterrupt:
        sys.stderr.write("heard\\n")
    sys.exit([ours.recv(), ours.recv()] != [0, 1])
"""


def test_a_worker_never_hears_an_interrupt_not_even_while_it_starts(tmp_path: Path) -> None:
    (tmp_path / "workers.py").write_text(WORKERS)
    process, error = interrupt_where_it_says([sys.executable, str(tmp_path / "workers.py")])
    assert (process.returncode, error) == (0, "heard\n")


def test_an_interrupted_build_says_how_to_go_on(tmp_path: Path) -> None:
    source = wbm_file(tmp_path / "wbm.json.bz2", copies=120)
    process = begin([*TOOL, "build-dataset", str(source), "-o", str(tmp_path / "x.h5")])
    while process.poll() is None and not (tmp_path / "x.h5.partial").exists():
        time.sleep(0.01)
    error = interrupt(process)
    assert told(process, error) == "told"
    assert f"the same command goes on from {tmp_path / 'x.h5.partial'}" in error


def test_an_interrupted_encode_says_so_and_leaves_no_file(tmp_path: Path) -> None:
    process = begin([*TOOL, "encode", "-", "-o", str(tmp_path / "out.jsonl")], stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(LABEL_FILE.read_text() * 20)  # more than a pipe holds: it has been read when this returns
    process.stdin.flush()
    assert told(process, interrupt(process)) == "told"
    assert not list(tmp_path.iterdir())


CRYSTALS = {"realize": [], "relax": ["--calculator", "lj", "--steps", "5"]}


@pytest.mark.slow
@pytest.mark.parametrize("command", CRYSTALS)
def test_interrupted_crystals_go_on_from_whole_rows(tmp_path: Path, command: str) -> None:
    output = tmp_path / "out"
    process = begin([*TOOL, command, str(LABEL_FILE), "-o", str(output), "--jobs", "2", *CRYSTALS[command]])
    records: list[Path] = []
    while process.poll() is None and not (records and records[0].stat().st_size):
        time.sleep(0.01)
        records = list(output.glob("*.jsonl"))
    assert told(process, interrupt(process)) == "told"
    assert not list(tmp_path.rglob(".*"))
    assert records
    assert all(json.loads(line) for line in records[0].read_text().splitlines())


def campaign(command: list[str], moments: list[float], after: Callable[[], None] = lambda: None) -> set[str]:
    """Interrupts at so many seconds after the start; the ways it ended, by `told`."""
    ways = set()
    for moment in moments:
        process = begin(command)
        time.sleep(moment)
        ways.add(told(process, interrupt(process)))
        after()
    return ways


@pytest.mark.slow
def test_a_build_interrupted_at_any_moment_says_so_and_goes_on(tmp_path: Path) -> None:
    """Every 15 ms of the first 300, when Python starts, and at random in the rest."""
    source = wbm_file(tmp_path / "wbm.json.bz2", copies=40)
    output = tmp_path / "x.h5"
    command = [*TOOL, "build-dataset", str(source), "--workers", "2", "-o", str(output)]
    start = time.monotonic()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    duration = time.monotonic() - start
    whole = output.read_bytes()
    output.unlink()

    def check() -> None:
        assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
        if output.exists():
            assert output.read_bytes() == whole
            output.unlink()

    rng = random.Random(7)
    campaign(command, [0.015 * i for i in range(21)], check)
    assert "told" in campaign(command, [rng.uniform(0.3, max(duration, 0.6)) for _ in range(40)], check)
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    assert output.read_bytes() == whole


@pytest.mark.slow
@pytest.mark.parametrize("command", ["encode", *CRYSTALS])
def test_other_commands_interrupted_at_any_moment_say_so_and_go_on(tmp_path: Path, command: str) -> None:
    output = tmp_path / ("out.jsonl" if command == "encode" else "out")
    jobs = [] if command == "encode" else ["--jobs", "2", *CRYSTALS[command]]
    rng = random.Random(8)
    campaign([*TOOL, command, str(LABEL_FILE), "-o", str(output), *jobs], [rng.uniform(0.05, 3) for _ in range(15)])
    assert not list(tmp_path.rglob(".*"))
