"""Durations, parsed and formatted as in Go: `10s`, `1m30s`, `1.5h`, `500ms`, `0`; and days, `60d`.

Values are in seconds. A bare number other than 0 is refused, because its unit is unknown.
"""

import re

_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, the micro sign
    "μs": 1_000,  # U+03BC, the Greek letter: Go takes both
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
}
_LONGEST = 2**63 - 1  # nanoseconds, Go's limit: about 292 years
_PART = re.compile(r"([0-9]{0,20})(?:\.([0-9]{0,20}))?([a-zµμ]+)", re.ASCII)


def parse(text: str) -> float:
    """Parse a duration into seconds; ValueError says what is wrong with it."""
    text = text.strip()
    if text == "0":
        return 0.0
    if re.fullmatch(r"[0-9.]{1,20}", text, re.ASCII):
        raise ValueError(f"{text!r} has no unit: write {text}s, {text}m, {text}h or {text}d")
    if text.startswith("-"):
        raise ValueError("a duration can't be negative")
    total, position = 0, 0
    while match := _PART.match(text, position):
        whole, fraction, unit = match[1], match[2] or "", match[3]
        if unit not in _NANOSECONDS or not (whole or fraction):
            break
        scale = _NANOSECONDS[unit]
        total += int(whole or 0) * scale + int(fraction or 0) * scale // 10 ** len(fraction)
        position = match.end()
    if not text or position != len(text):
        raise ValueError(f"{text!r} is not a duration like 10s, 1m30s, 60d or 0")
    if total > _LONGEST:
        raise ValueError(f"{text!r} is longer than 292 years")
    return total / 1_000_000_000


def show(seconds: float) -> str:
    """The shortest form of a duration, exact to the nanosecond: `90.0` is `1m30s`."""
    nanoseconds = round(seconds * 1_000_000_000)
    if 0 < nanoseconds < _NANOSECONDS["s"]:
        unit = next(unit for unit in ("ms", "us", "ns") if nanoseconds >= _NANOSECONDS[unit])
        return _decimal(nanoseconds, _NANOSECONDS[unit]) + unit
    parts = []
    for unit in ("d", "h", "m"):
        count, nanoseconds = divmod(nanoseconds, _NANOSECONDS[unit])
        if count:
            parts.append(f"{count}{unit}")
    if nanoseconds:
        parts.append(_decimal(nanoseconds, _NANOSECONDS["s"]) + "s")
    return "".join(parts) or "0"


def _decimal(nanoseconds: int, scale: int) -> str:
    whole, rest = divmod(nanoseconds, scale)
    fraction = str(rest).zfill(len(str(scale)) - 1).rstrip("0") if rest else ""
    return f"{whole}.{fraction}" if fraction else str(whole)
