"""What the tests of the settings share."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from aibridged.config import kinds, load, mappings, rates
from aibridged.config.declare import Option
from aibridged.config.resolution import Resolution

# A pair that was made for these tests and protects nothing.
_TLS = Path(__file__).parent / "tls"

# Four texts of each kind, no two with the same meaning where the kind has that many.
_SAMPLES = {
    kinds.BOOL: ("true", "false", "true", "false"),
    kinds.WORKERS: ("2", "3", "auto", "4"),
    kinds.COUNT: ("1", "2", "3", "4"),
    kinds.POSITIVE: ("11", "12", "13", "14"),
    kinds.SIZE: ("1KiB", "2MiB", "3GiB", "4"),
    kinds.SIZE_OR_AUTO: ("1GiB", "2GiB", "auto", "3GiB"),
    kinds.DURATION: ("1s", "2m", "3h", "4d"),
    kinds.POSITIVE_DURATION: ("1s", "2m", "3h", "4d"),
    kinds.GRACE: ("0", "2m", "3h", "4d"),
    kinds.PATH: ("/one", "/two", "/three", "/four"),
    kinds.DIRECTORY: ("/one", "/two", "/three", "/four"),
    kinds.OPTIONAL_DIRECTORY: ("/one", "/two", "/three", "/four"),
    kinds.AUTH: ("token", "none", "token", "none"),
    kinds.BUDGET_FAIL: ("open", "closed", "open", "closed"),
    kinds.SENTENCE: ("one", "two", "three", "four"),
    kinds.PROMPT_ACCESS: ("own", "admins", "own", "admins"),
    kinds.UI_ENABLED: ("true", "false", "true", "false"),
    kinds.METRIC_NAMES: ("new", "old", "new", "old"),
    kinds.OPTIONAL_URL: ("http://one", "https://two", "http://three:3", "http://four"),
    kinds.ISSUER_URL: ("http://[::1]:1", "https://two/", "https://three", "https://four"),
    kinds.PROXY_URL: ("http://one:1", "https://u:p@two:2", "http://three:3", "http://u@four:4"),
    kinds.LOG_TARGET: ("/one", "/two", "/three", "/four"),
    kinds.SECRET: ("key-one", "key-two", "key-three", "key-four"),
    kinds.SECRET_URL: tuple(f"postgres://{name}/d" for name in ("one", "two", "three", "four")),
    kinds.BUDGET_FAIL: ("open", "closed", "open", "closed"),
    kinds.SENTENCE: ("One.", "Two, and more.", "Three.", "Four."),
    kinds.REDIS_URL: tuple(f"redis://{name}:1/0" for name in ("one", "two", "three", "four")),
    kinds.REPLICAS: ("1", "2", "3", "4"),
    kinds.WEBHOOK_URL: tuple(f"https://{name}/?k=1" for name in ("one", "two", "three", "four")),
    kinds.WEBHOOK_FORMAT: ("slack", "json", "slack", "json"),
    kinds.PERCENTAGES: ("1", "2,100", "3", "4"),
    kinds.BASE_URL: ("http://one", "https://two/v1", "http://three:3", "http://four"),
    kinds.OPTIONAL_ADDRESS: ("127.0.0.1:0", "[::1]:0", "localhost:0", "127.0.0.2:0"),
    kinds.ADDRESS: ("127.0.0.1:0", "[::1]:0", "localhost:0", "127.0.0.2:0"),
    kinds.HEADERS: ("X-One", "X-Two,X-Other", "X-Three", "X-Four"),
    kinds.NETWORKS: ("10.0.0.1/32", "10.2.0.0/16,::1/128", "10.3.0.0/16", "10.4.0.0/16"),
    rates.UNPRICED: ("allow", "deny", "2.5", "0"),
    kinds.TEXT: ("one", "two", "three", "four"),
    kinds.WORDS: ("one", "two,other", "three", "four"),
    kinds.REGEX: ("one", "two.*", "three", "four"),
    mappings.STRINGS: tuple(f'{{"{name}": "x"}}' for name in ("one", "two", "three", "four")),
    mappings.LISTS: tuple(f'{{"{name}": ["x"]}}' for name in ("one", "two", "three", "four")),
    mappings.URL_PARAMETERS: tuple(
        f'{{"{name}": "x"}}' for name in ("one", "two", "three", "four")
    ),
    kinds.PATTERNS: ("one", "two,.*", "three", "four"),
}


@pytest.fixture
def samples() -> Callable[[Option], tuple[str, str, str, str]]:
    """Texts to try a setting with; a new kind of value needs a row above."""
    return lambda option: _SAMPLES[option.kind]


@pytest.fixture
def tls_pair() -> tuple[Path, Path]:
    return _TLS / "localhost-cert.pem", _TLS / "localhost-key.pem"


@pytest.fixture
def resolve(tmp_path: Path) -> Callable[..., Resolution]:
    """Resolve flags, environment and the text of a file, which is at `tmp_path`/settings.yaml."""

    def resolve(
        flags: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
        yaml: str | None = None,
    ) -> Resolution:
        variables = dict(environ or {})
        if yaml is not None:
            path = tmp_path / "settings.yaml"
            path.write_text(yaml, encoding="utf-8")
            variables["CODER_CONFIG_PATH"] = str(path)
        return load.resolve(flags or {}, variables)

    return resolve
