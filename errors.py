"""The exceptions that a user of nnfuse sees."""

from __future__ import annotations


def escape_name(name: str) -> str:
    """An ONNX name as it stands in IR: ASCII, one line, different for different names (`é` is `\\xe9`).

    xDSL's printer writes strings that its parser does not read back where they hold other characters.
    """
    return (
        name if name.isascii() and name.isprintable() and "\\" not in name else name.encode("unicode_escape").decode()
    )


def unescape_name(text: str) -> str:
    """The name that `escape_name` wrote as `text`; raises CompileError where it cannot have."""
    try:
        return text.encode("ascii").decode("unicode_escape") if "\\" in text else text
    except UnicodeError:
        raise CompileError(f"'{text}' has a backslash that escapes nothing", hint="write it twice") from None


def printable(text: str) -> str:
    """`text` with control and bidirectional characters written as escapes, for one line on a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class CompileError(Exception):
    """Something is wrong with what the user gave: a model, IR text, a feed or an option.

    `message` says what is wrong, `node` names the ONNX node (or value) concerned, `hint` says what to do.
    `str()` of it is one line. `EXIT_CODE` is what a command-line tool exits with.
    """

    EXIT_CODE = 1

    def __init__(self, message: str, node: str | None = None, hint: str | None = None):
        super().__init__(message)
        self.message = message
        self.node = node
        self.hint = hint

    def at(self, node: str | None) -> CompileError:
        """This error with its node named, unless it names one already."""
        if self.node is None:
            self.node = node
        return self

    def __str__(self) -> str:
        node = f"{self.node}: " if self.node else ""
        hint = f" ({self.hint})" if self.hint else ""
        return printable(f"{node}{self.message}{hint}".replace("\n", " "))


class OutOfMemoryError(CompileError):
    """A device has less memory free than is needed for what the message names."""


class UnsupportedError(CompileError):
    """What was given is valid, but nnfuse does not do it (exit code 2)."""

    EXIT_CODE = 2


class AssumptionError(UnsupportedError):
    """A rank was assumed when the model was imported, and is another one: `branch` is that taken of the If `node`."""

    def __init__(self, message: str, hint: str, branch: int | None = None):
        super().__init__(message, hint=hint)
        self.branch = branch
