"""Ctrl-C at any moment: one sentence on stderr, exit code 130, no traceback; worker processes never hear of it.

A terminal sends SIGINT to every process of a command at once, and Python raises KeyboardInterrupt wherever the main
thread happens to be: within an import, within a finalizer (which swallows it), or halfway through starting a process.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

TYPE_CHECKING = False  # see `wyckoffkit`: until this module is there, an interrupt is a traceback
if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from typing import Any

EXIT_CODE = 130  # 128 + SIGINT, as shells say it
_TOGETHER = 1.0  # s: `timeout` and some terminals send one interrupt twice
_SOON = 0.05  # s


def _from_the_start() -> str:
    return "give the same command again"


class _Now:
    """Of the process: there is one SIGINT."""

    command = ""
    advice: Callable[[], str] = staticmethod(_from_the_start)
    heard: float | None = None
    """When, by the monotonic clock."""
    over = False
    """The command has done what it does; nothing is to be unwound."""


def interruptible(command: str, body: Callable[[], object]) -> None:
    """Run the body of a command so that Ctrl-C ends it in a sentence, whatever it was doing.

    The first interrupt is a KeyboardInterrupt, which unwinds; one that a finalizer swallows is raised again. Whatever
    the body then ends with, the process ends with `EXIT_CODE`. A later interrupt ends it at once. Where SIGINT
    is ignored (in the background of a shell) or somebody else's, it stays so.
    """
    try:
        mine = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if mine:
            _Now.command = command
            signal.signal(signal.SIGINT, _hear)
            sys.unraisablehook = _raise_again
    except ValueError:  # signals belong to the main thread
        mine = False
    # Not a context manager: between it and the block an interrupt would find nobody.
    try:
        try:
            body()
        finally:
            _Now.over = mine
    finally:
        _Now.over = mine
        if _Now.heard is not None:
            _say()
            # A KeyboardInterrupt that has passed through exec() of text (a dataclass is made so) lets CPython die of
            # SIGINT at its end, whatever the exit code; the next text that is evaluated makes it forget.
            eval("None")
            raise SystemExit(EXIT_CODE) from None


def how_to_go_on(advice: Callable[[], str]) -> None:
    """What an interrupt shall say from now on, after "COMMAND: interrupted; "."""
    _Now.advice = staticmethod(advice)


def _hear(number: int, frame: Any) -> None:
    if _Now.heard is None:
        _Now.heard = time.monotonic()
        if not _Now.over:
            raise KeyboardInterrupt
    elif not _Now.over and time.monotonic() - _Now.heard < _TOGETHER:
        return
    _say()
    os._exit(EXIT_CODE)


def _say() -> None:
    with suppress(Exception):  # a full disk, a reader that is gone
        sys.stdout.flush()
    with suppress(Exception):
        sys.stderr.flush()
    advice = "it had come to its end" if _Now.over and _Now.heard is None else _Now.advice()
    shown = "\x1b[?25h" if os.isatty(2) else ""  # progress bars hide the cursor
    with suppress(OSError):
        os.write(2, f"{shown}{_Now.command}: interrupted; {advice}\n".encode())


def _raise_again(unraisable: Any) -> None:
    """An interrupt in a finalizer or a callback of C goes nowhere: another follows, when that has ended."""
    if not issubclass(unraisable.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
        return
    import threading

    _Now.heard = None
    # A signal, not _thread.interrupt_main(): that would wait until a system call ends, an hour's sleep too.
    timer = threading.Timer(_SOON, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT])
    timer.daemon = True
    timer.start()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C waits until the block ends: for what must not be done by halves, and does not take long."""
    heard: list[int] = []
    try:
        before = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    except ValueError:  # not in the main thread, where no KeyboardInterrupt is raised
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
        if heard:
            signal.raise_signal(signal.SIGINT)


@contextmanager
def starting_workers() -> Iterator[None]:
    """Processes that are started in the block never hear of Ctrl-C, from their first instant on.

    They inherit that SIGINT is blocked; to ignore it is too late once they run. In this process Ctrl-C waits until the
    block ends: a process that gets half of what it is to do ends in a traceback.
    """
    from multiprocessing import resource_tracker

    with uninterrupted():
        resource_tracker.ensure_running()  # the first process starts it, and it unblocks SIGINT
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def started_worker(serve: Callable[..., None], *arguments: Any) -> tuple[Any, Connection]:
    """A process that runs `serve(pipe, *arguments)` and never hears of Ctrl-C, and our end of its pipe."""
    from multiprocessing import get_context

    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, *arguments), daemon=True)
    with starting_workers():
        process.start()
    theirs.close()
    return process, ours
