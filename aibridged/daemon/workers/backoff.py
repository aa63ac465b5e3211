"""Pauses before a process is started again that has ended by itself."""

STEADY_S = 60.0
"""A process that has run for so long has proved that it can: its end starts the count again."""
FIRST_S = 1.0
MOST_S = 30.0


class Backoff:
    """Doubles the pause with each end in a row; the first end has none."""

    def __init__(self) -> None:
        self.ends = 0
        """Ends in a row, none of which came after a steady time."""

    def pause(self, ran: float) -> float:
        """How many seconds to wait, of a process that ran for so many seconds."""
        self.ends = 1 if ran >= STEADY_S else self.ends + 1
        if self.ends == 1:
            return 0.0
        return min(MOST_S, FIRST_S * 2.0 ** min(self.ends - 2, 16))
