"""Errors, told apart by what happens next.

A text says what was expected and where, never the value that was found.
"""

from pathlib import Path

from typing_extensions import override


class SluiceError(Exception):
    """The base of every error that we raise."""


class Misconfigured(SluiceError, ValueError):
    """A process was not given what it needs: the text says which setting, and what."""


class InvalidMessage(SluiceError):
    """This record can never be handled: one dead letter, then on.

    Attributes:
        reason: what was expected, in words that hold no value.
        where: class and field names, dotted; empty where there are none.
    """

    def __init__(self, reason: str, where: str = "") -> None:
        super().__init__(f"{reason} ({where})" if where else reason)
        self.reason = reason
        self.where = where


class LogClosed(InvalidMessage):
    """The log ended with ``log.closed``: nothing is appended to it any more."""

    def __init__(self) -> None:
        super().__init__("expected a log that is open", "log")


class RetryableError(SluiceError):
    """Something that everyone shares is away: wait, without a last attempt."""


class NotYet(SluiceError):
    """Nothing is wrong: this record, and what lies behind it, is due later.

    Attributes:
        seconds: how long until then.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__("expected a record that is due")
        self.seconds = seconds


class IntegrityError(SluiceError):
    """What we stored contradicts itself: halt the partition, raise the alarm.

    Its arguments are what was expected, and where, if there is a word for that.
    """

    @override
    def __str__(self) -> str:
        return ", ".join(map(str, self.args))


class HeadBent(IntegrityError):
    """The end of a log is not one: it can neither be read nor appended to.

    Attributes:
        origin: which log it is.
    """

    def __init__(self, origin: str) -> None:
        super().__init__("the end of the log is bent")
        self.origin = origin


class KeyDestroyed(SluiceError):
    """The content's key was destroyed. This is an answer, not a failure."""


def place(error: BaseException) -> str:
    """The error's class and the line that raised it; never its text."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    file = Path(trace.tb_frame.f_code.co_filename).name
    return f"{type(error).__name__} {file}:{trace.tb_lineno}"
