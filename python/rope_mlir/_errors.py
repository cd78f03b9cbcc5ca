"""What is wrong, as exceptions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Location(NamedTuple):
    """A place in a text. Lines and columns count from 1, and are 0 where the file alone is known."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class Diagnostic(NamedTuple):
    """One message of the compiler.

    Attributes:
        severity: `error`, `warning`, `note` or `remark`.
        message: what is wrong: what was expected, what was found.
        location: where, or None where that is not known.
        notes: what belongs to it.
        source: the line of the text that `location` names, empty where it is not at hand.
    """

    severity: str
    message: str
    location: Location | None = None
    notes: tuple[Diagnostic, ...] = ()
    source: str = ""

    def __str__(self) -> str:
        lines = [f"{self.location or '<unknown>:0'}: {self.severity}: {self.message}"]
        if self.source and self.location and self.location.line:
            # Tabs stay, so that the mark stands below its place.
            before = "".join(c if c == "\t" else " " for c in self.source[: self.location.column - 1])
            lines += [self.source, before + "^"]
        return "\n".join([*lines, *map(str, self.notes)])


class MLIRError(Exception):
    """A module or a pipeline with errors; its text is what `rope-opt` prints.

    Attributes:
        diagnostics: the messages, errors and others, in the order they came.
    """

    diagnostics: tuple[Diagnostic, ...]

    def __init__(self, message: str, diagnostics: Sequence[Diagnostic] = ()):
        super().__init__(message, tuple(diagnostics))
        self.diagnostics = tuple(diagnostics)

    def __str__(self) -> str:
        return "\n".join([*filter(None, [self.args[0]]), *map(str, self.diagnostics)])


class FunctionNotFoundError(LookupError):
    """A module has no public function of that name; the text says which it has."""
