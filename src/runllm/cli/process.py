"""What a command hears beside its arguments: signals that stop it, and warnings of the settings.

Told to stop, it does so as with Ctrl-C: cleanly and recorded at first, at once the second time.
"""

from __future__ import annotations

import signal
import threading
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import TextIO

import click

from runllm.notices import SettingsWarning

_INTERRUPTED = 130
_told: list[int] = []


def listen() -> None:
    """Hear both from now on."""
    _listen_for_signals()
    _listen_for_warnings()


def _listen_for_signals() -> None:
    """Take SIGTERM, and SIGHUP where it is not ignored (`nohup`), for what Ctrl-C means from now on."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and hasattr(signal, "pthread_sigmask"):
        # A shell lets what it starts in the background ignore Ctrl-C. It still does, and now has the handler
        # that event loops know how to take over.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in _others():
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _stop)


def status(ended: int) -> int:
    """The exit status of a command that `ended` so: if it was stopped, 128 and the number of the signal."""
    return 128 + _told[0] if _told and ended == _INTERRUPTED else ended


def _stop(number: int, frame: FrameType | None) -> None:
    _told.append(number)
    for other in _others():
        if signal.getsignal(other) is _stop:
            signal.signal(other, signal.SIG_DFL)
    interrupt = signal.getsignal(signal.SIGINT)  # of Python, or of the event loop that is running
    if callable(interrupt):
        interrupt(signal.SIGINT, frame)
    else:
        raise KeyboardInterrupt


def _others() -> tuple[signal.Signals, ...]:
    return (signal.SIGTERM, signal.SIGHUP) if hasattr(signal, "SIGHUP") else (signal.SIGTERM,)


def _listen_for_warnings() -> None:
    """Show the warnings of runllm's own as lines, whatever `PYTHONWARNINGS` says; others stay Python's."""
    others = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if not isinstance(message, SettingsWarning):
            others(message, category, filename, lineno, file, line)
            return
        from runllm.rendering import one_line  # few are warned

        click.echo(f"warning: {one_line(str(message))}", err=True)

    warnings.filterwarnings("always", category=SettingsWarning)
    warnings.showwarning = show


@contextmanager
def stopping(stop: Callable[[], None]) -> Generator[None]:
    """Call `stop` when this is told to stop while the block runs; told a second time, it is interrupted as ever.

    Elsewhere than in the main thread, signals stay as they are.
    """
    before = signal.getsignal(signal.SIGINT)

    def first(number: int, frame: FrameType | None) -> None:
        del number, frame
        signal.signal(signal.SIGINT, before)
        click.echo("finishing what is in flight; once more stops at once", err=True)
        stop()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
