"""What goes wrong on a person's machine, said so that the person can act."""


class StackError(RuntimeError):
    """The stack cannot be had; the text says what to do or which log to read."""
