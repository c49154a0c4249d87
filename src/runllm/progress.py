"""A download as one line of text: what, how far, how fast, how long still."""

from __future__ import annotations

from runllm.engines.ollama_pull import PullProgress, in_bytes

_BAR = 20
_MINUTE, _HOUR = 60, 3600


def progress_line(progress: PullProgress) -> str:
    """The line to show, without its end: `llama3.2 [####----] 45 % 0.9 GB of 2.0 GB, 31.0 MB/s, 36 s left`.

    Before the size is known, it holds what the server is doing. Control characters are made harmless.
    """
    name = _printable(progress.model)
    if not progress.total:
        return f"{name}: {_printable(progress.status)}"
    share = min(1.0, progress.completed / progress.total)
    filled = int(share * _BAR)
    parts = [f"{in_bytes(progress.completed)} of {in_bytes(progress.total)}"]
    if share < 1:
        parts += [f"{in_bytes(progress.speed)}/s"] if progress.speed else []
        parts += [f"{_time(progress.remaining)} left"] if progress.remaining is not None else []
    elif progress.status:
        parts.append(_printable(progress.status))  # what comes after the last byte takes time as well
    return f"{name} [{'#' * filled}{'-' * (_BAR - filled)}] {int(share * 100)} % {', '.join(parts)}"


def _time(seconds: float) -> str:
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
