"""A table of keys whose records begin with a time after which they are worth nothing."""

from aibridged.limits.keys import SET, START, Keys
from aibridged.limits.region import KEY_SIZE, WAYS, KeyedArea, Region


class TimedTable(Keys):
    """`times` has that of record n at `first + n * step`, and what else it has behind it.

    Where all places of a key are taken, the record goes that would be worth nothing first.
    """

    def __init__(self, region: Region, area: KeyedArea) -> None:
        super().__init__(region, area.keys)
        self.times = region.doubles
        self.first = area.records.offset // 8
        self.step = area.records.size // 8
        self._end = self.first + area.records.count * self.step

    def __len__(self) -> int:
        """The number of records that were given to a key."""
        return sum(time != 0 for time in self.all_times())

    def all_times(self) -> list[float]:
        """The times of all records; 0 where there is none."""
        return [*self.times[self.first : self._end : self.step].tolist()]

    def peek(self, key: bytes) -> list[float]:
        """A key's record without the lock; zeros without one.

        Each number is whole, and each is the key's, but they may be of two states.
        """
        index = self.index(key)
        if index >= 0:
            record: list[float] = [*self.times[index : index + self.step].tolist()]
            if self.index(key) == index:
                return record
        return [0.0] * self.step

    def claim(self, key: bytes) -> int:
        """The index of the time of a new record for a key, which is 0 like those behind it."""
        start = self.places(key).start
        first, step = self.first + start * self.step, self.step
        times = self.times[first : first + WAYS * step : step].tolist()
        way = times.index(min(times))
        for index in range(first + way * step, first + (way + 1) * step):
            self.times[index] = 0.0
        self.write(start + way, key)
        return first + way * step

    def index(self, key: bytes) -> int:
        """The index of the time of a key's record; -1 without one."""
        # `find`, written out: it is done for each request.
        start = self._offset + (START(key)[0] & self._mask) * SET
        found = self._bytes.find(key, start, start + SET)
        return self.first + (found - self._offset) // KEY_SIZE * self.step if found >= 0 else -1
