"""Failures of the commands of sign-in, as the person at the terminal reads them."""


class LoginError(Exception):
    """What is wrong, and the mend; neither contains a token.

    `lines` are for the terminal as they are: a command, or text to add to a file.
    """

    def __init__(self, what: str, mend: str = "", *lines: str) -> None:
        super().__init__(what)
        self.what, self.mend, self.lines = what, mend, lines

    def text(self, command: str) -> str:
        """The message that `command` ends with; what came from outside can't steer a terminal."""
        parts = [f"{command}: {_plain(self.what)}"]
        if self.mend:
            parts.append(f"  → {_plain(self.mend)}")
        return "\n".join([*parts, *(f"      {line}".rstrip() for line in self.lines)])


def _plain(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text)


class UnreachableError(LoginError):
    """The gateway gave no answer: it may do so later."""


class SignedOutError(LoginError):
    """There is no sign-in, or it has ended: only a new one helps."""
