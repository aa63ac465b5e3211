"""Optional libraries (extras): which are missing, and the command that installs them here.

The command fits how the package was installed (PEP 610, `direct_url.json`). It never names the
package alone: a package index may have another project's under that name.
"""

import importlib.util
import json
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from aibridged.config.resolution import Mistake

_PACKAGE = "aibridged"
_SEVERAL = ("required libraries are", "them")

# Modules that each extra is recognised by, with their requirements. One package may span several
# distributions.
EXTRAS: Mapping[str, Mapping[str, str]] = {
    "demo": {"anthropic": "anthropic>=0.60", "openai": "openai>=1.100"},
    "mcp": {
        "cryptography": "cryptography>=44",
        "httpx2": "httpx2>=2",
        "jsonschema": "jsonschema>=4.20",
        "mcp": "mcp>=2",
        "pydantic": "pydantic>=2",
    },
    "parquet": {"pyarrow": "pyarrow>=18"},
    "postgres": {"psycopg": "psycopg[binary]>=3.2"},
    "proxy": {"aiohappyeyeballs": "aiohappyeyeballs>=2", "cryptography": "cryptography>=44"},
    "redis": {"redis": "redis[hiredis]>=6"},
    "sign-in": {
        "authlib": "Authlib>=1.6",
        "cryptography": "cryptography>=44",
        "jinja2": "Jinja2>=3.1",
        "joserfc": "joserfc>=1.1",
    },
    "tracing": {
        "opentelemetry.exporter.otlp.proto.grpc": "opentelemetry-exporter-otlp-proto-grpc>=1.30",
        "opentelemetry.exporter.otlp.proto.http": "opentelemetry-exporter-otlp-proto-http>=1.30",
        "opentelemetry.sdk": "opentelemetry-sdk>=1.30",
    },
    "ui": {"cryptography": "cryptography>=44", "jinja2": "Jinja2>=3.1"},
}


def mistake(extra: str, where: str) -> Mistake | None:
    """The mistake of a setting that needs an extra; None where its libraries are installed."""
    missing = missing_modules(extra)
    if not missing:
        return None
    names = ", ".join(_name(EXTRAS[extra][module]) for module in missing)
    what, it = ("a required library is", "it") if len(missing) == 1 else _SEVERAL
    return Mistake(where, f"{what} not installed ({names})", f"Install {it}:\n{command(extra)}")


def sentences(extra: str, needing: str) -> str | None:
    """The same for what isn't a setting but a command or a server, with the remedy."""
    found = mistake(extra, "")
    return None if found is None else f"{needing}: {found.what}. {found.remedy}"


def missing_modules(extra: str) -> tuple[str, ...]:
    """The modules of an extra that can't be imported."""
    return tuple(name for name in EXTRAS[extra] if not _is_installed(name))


def command(extra: str) -> str:
    """The command that installs what is missing of an extra, for this installation."""
    return install_command(
        extra, missing_modules(extra), _direct_url(), has_pip=_is_installed("pip")
    )


def install_command(
    extra: str, missing: tuple[str, ...], direct_url: str | None, *, has_pip: bool
) -> str:
    """The command for an installation with this `direct_url.json`; None: it has none."""
    # The interpreter that runs this: the pip on the path may be another environment's.
    python = shlex.quote(sys.executable)
    pip = f"{python} -m pip install" if has_pip else f"uv pip install --python {python}"
    target = _target(extra, direct_url)
    if target is None:
        # Without pip's record of where the package is from, its libraries are what can be named.
        needed = EXTRAS[extra]
        target = " ".join(shlex.quote(needed[name]) for name in missing or needed)
    return f"{pip} {target}"


def _target(extra: str, direct_url: str | None) -> str | None:
    try:
        found = json.loads(direct_url or "{}")
        url = str(found["url"])
    except (ValueError, KeyError, TypeError):
        return None
    if urlsplit(url).scheme != "file":
        commit = found.get("vcs_info", {}).get("commit_id")
        vcs = found.get("vcs_info", {}).get("vcs")
        source = f"{vcs}+{url}@{commit}" if vcs else url
        return shlex.quote(f"{_PACKAGE}[{extra}] @ {source}")
    path = Path(unquote(urlsplit(url).path))
    if not path.exists():  # a wheel that was removed after the installation, or another machine's
        return None
    if "dir_info" in found:
        editable = "-e " if found["dir_info"].get("editable") else ""
        return editable + shlex.quote(f"{path}[{extra}]")
    return shlex.quote(f"{_PACKAGE}[{extra}] @ {url}")


def _name(requirement: str) -> str:
    return re.split(r"[\[<>=]", requirement)[0]


def _direct_url() -> str | None:
    from importlib import metadata  # it takes a while, and only a hint needs it

    try:
        return metadata.distribution(_PACKAGE).read_text("direct_url.json")
    except (metadata.PackageNotFoundError, OSError, ValueError):
        return None


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # its parent package is missing
        return False
