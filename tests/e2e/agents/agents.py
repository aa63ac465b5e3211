"""How each agent is pointed at the gateway and run, and what has to be on record then."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aibridged.login.clock import SystemClock
from aibridged.login.store import Login, Logins

FIRST = "Please list the files of this folder: plum-42."
SECOND = "And now the second: quince-7."
MEANWHILE = "Also think of medlar-3, please."


@dataclass
class Setting:
    """Where an agent runs: its home and work folder, the gateway's URL, its environment.

    `token` is one that the gateway accepts.
    """

    home: Path
    url: str
    program: str
    token: str = "token"
    variables: dict[str, str] = field(default_factory=dict)

    def write(self, path: str, content: object) -> str:
        """Write a file of the agent's home, as JSON unless it is text."""
        place = self.home / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(place)

    @property
    def openai(self) -> str:
        return f"{self.url}/openai/v1"

    @property
    def anthropic(self) -> str:
        return f"{self.url}/anthropic"


Command = Sequence[str]


@dataclass(frozen=True)
class Case:
    """One agent with one API.

    `prompts` are what a person typed, as the record has to show it; `purposes` what the agent
    may ask for beside. With `is_one_session` all requests have to be of one session. With
    `signs_in` the gateway accepts its own tokens only.
    """

    name: str
    package: str
    client: str
    prepare: Callable[[Setting], Sequence[Command]]
    prompts: tuple[str, ...] = (FIRST, SECOND)
    purposes: frozenset[str] = frozenset()
    is_one_session: bool = False
    script: str = "tool"
    signs_in: bool = False


CASES: list[Case] = []


def _case(name: str, package: str, client: str, **rest: object):
    def add(prepare: Callable[[Setting], Sequence[Command]]):
        CASES.append(Case(name, package, client, prepare, **rest))
        return prepare

    return add


def _claude(at: Setting, *texts: str) -> Sequence[Command]:
    at.variables |= {"ANTHROPIC_BASE_URL": at.anthropic, "ANTHROPIC_AUTH_TOKEN": "token"}
    at.variables |= {"IS_SANDBOX": "1", "DISABLE_AUTOUPDATER": "1"}
    first, *others = ([at.program, "-p", text, _TRUSTED] for text in texts)
    return [first, *([*each, "--continue"] for each in others)]


_TRUSTED = "--dangerously-skip-permissions"
_CLAUDE = {
    "package": "claude",
    "client": "Claude Code",
    "purposes": frozenset({"title"}),
    "is_one_session": True,
}


@_case("claude", **_CLAUDE)
def _(at: Setting) -> Sequence[Command]:
    return _claude(at, FIRST, SECOND)


@_case("claude-hook", prompts=("/fruit plum-42\nTell me about plum-42.\n",), **_CLAUDE)
def _(at: Setting) -> Sequence[Command]:
    at.write(".claude/commands/fruit.md", "Tell me about $ARGUMENTS.\n")
    once = 'test -e "$HOME/stopped" || { touch "$HOME/stopped"; echo "go on" >&2; exit 2; }'
    hook = {"hooks": [{"type": "command", "command": once}]}
    at.write(".claude/settings.json", {"hooks": {"Stop": [hook]}})
    return _claude(at, "/fruit plum-42")


def _typed_meanwhile(at: Setting) -> Sequence[Command]:
    """The tool runs until the second message has been sent."""
    (command,) = _claude(at, FIRST)
    messages = [
        json.dumps({"type": "user", "message": {"role": "user", "content": text}})
        for text in (FIRST, MEANWHILE)
    ]
    feed = (
        f"echo '{messages[0]}'; until test -e $HOME/running; do sleep 0.1; done; "
        f"echo '{messages[1]}'; sleep 1; touch $HOME/go"
    )
    streamed = "--input-format stream-json --output-format stream-json --verbose"
    return [["sh", "-c", f"({feed}) | {command[0]} -p {streamed} {_TRUSTED}"]]


_MEANWHILE = {"prompts": (FIRST, MEANWHILE), "script": "waiting tool", **_CLAUDE}
_case("claude-meanwhile", **_MEANWHILE)(_typed_meanwhile)


@_case("claude-meanwhile-in-the-result", **_MEANWHILE)
def _(at: Setting) -> Sequence[Command]:
    at.variables["ANTHROPIC_MODEL"] = "claude-sonnet-4-5"
    return _typed_meanwhile(at)


@_case("claude-background", prompts=(FIRST, "Think of pears."), script="background", **_CLAUDE)
def _(at: Setting) -> Sequence[Command]:
    return _claude(at, FIRST)


def _set_up(at: Setting, agent: str) -> Command:
    """Store a sign-in, as `aibridged login` does; the command that sets the agent up."""
    clock = SystemClock()
    logins = Logins(at.home / ".config" / "aibridged", clock)
    logins.save(
        Login(
            url=at.url,
            access_token=at.token,
            expires_at=clock.now() + 3600,
            lifetime=3600.0,
            token_endpoint=f"{at.url}/oauth/token",
        )
    )
    at.variables["PYTHONPATH"] = str(Path(__file__).parents[3])
    return [sys.executable, "-m", "aibridged", "setup", agent, "--yes"]


@_case("claude-set-up", signs_in=True, **_CLAUDE)
def _(at: Setting) -> Sequence[Command]:
    commands = _claude(at, FIRST, SECOND)
    for name in ("ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN"):
        del at.variables[name]
    return [_set_up(at, "claude-code"), *commands]


_CODEX = ["--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]


@_case("codex-set-up", "codex", "Codex", prompts=(FIRST,), is_one_session=True, signs_in=True)
def _(at: Setting) -> Sequence[Command]:
    at.write(".codex/config.toml", 'model = "gpt-5"  # mine\n\n[history]\npersistence = "none"\n')
    return [_set_up(at, "codex"), [at.program, "exec", *_CODEX, FIRST]]


@_case("codex", "codex", "Codex", is_one_session=True)
def _(at: Setting) -> Sequence[Command]:
    at.variables["GATEWAY_TOKEN"] = "token"
    at.write(
        ".codex/config.toml",
        'model = "gpt-5"\nmodel_provider = "gateway"\n[model_providers.gateway]\n'
        f'name = "Gateway"\nbase_url = "{at.openai}"\nenv_key = "GATEWAY_TOKEN"\n'
        'wire_api = "responses"\nsupports_websockets = false\n',
    )
    resume = [at.program, "exec", "resume", "--last", *_CODEX, SECOND]
    return [[at.program, "exec", *_CODEX, FIRST], resume]


def _opencode(at: Setting, model: str, files: Sequence[str], *flags: str) -> Sequence[Command]:
    compatible = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "Other",
        "options": {"baseURL": at.openai, "apiKey": "token"},
        "models": {"m-1": {"name": "m-1"}},
    }
    options = {"baseURL": f"{at.anthropic}/v1", "apiKey": "token"}
    providers = {
        "anthropic": {"options": options},
        "openai": {"options": {"baseURL": at.openai, "apiKey": "token"}},
        "other": compatible,
    }
    for file in files:
        at.write(f".config/{file}", {"provider": providers, "permission": {"*": "allow"}})
    run = [at.program, "run", *flags, "-m", model]
    return [[*run, FIRST], [*run, "-c", SECOND]]


for _api, _model in (
    ("messages", "anthropic/claude-sonnet-4-5"),
    ("responses", "openai/gpt-5"),
    ("chat", "other/m-1"),
):
    _quoted = (f'"{FIRST}"', f'"{SECOND}"')  # as both do themselves, before they send it
    _titled = {"prompts": _quoted, "purposes": frozenset({"title"}), "is_one_session": True}
    _case(f"opencode-{_api}", "opencode", "OpenCode", **_titled)(
        lambda at, model=_model: _opencode(at, model, ["opencode/opencode.json"])
    )
    _case(f"kilo-{_api}", "kilo", "Kilo Code", **_titled)(
        lambda at, model=_model: _opencode(
            at, model, ["kilo/kilo.json", "kilo/opencode.json"], "--auto"
        )
    )


for _api, _model in (("messages", "anthropic/claude-sonnet-4-5"), ("responses", "openai/gpt-5")):

    @_case(f"opencode-{_api}-set-up", "opencode", "OpenCode", signs_in=True, **_titled)
    def _(at: Setting, model: str = _model) -> Sequence[Command]:
        at.write(".config/opencode/opencode.jsonc", '{"permission": {"*": "allow"}} // mine\n')
        run = [at.program, "run", "-m", model]
        return [_set_up(at, "opencode"), [*run, FIRST], [*run, "-c", SECOND]]

    @_case(f"kilo-{_api}-set-up", "kilo", "Kilo Code", signs_in=True, **_titled)
    def _(at: Setting, model: str = _model) -> Sequence[Command]:
        run = [at.program, "run", "--auto", "-m", model]
        return [_set_up(at, "kilo"), [*run, FIRST], [*run, "-c", SECOND]]


def _qwen(at: Setting, kind: str) -> Sequence[Command]:
    run = [at.program, "--auth-type", kind, "-y"]
    return [[*run, "-p", FIRST], [*run, "-c", "-p", SECOND]]


@_case("qwen-chat", "qwen", "Qwen Code", purposes=frozenset({"memory"}))
def _(at: Setting) -> Sequence[Command]:
    at.variables |= {"OPENAI_BASE_URL": at.openai, "OPENAI_API_KEY": "token"}
    at.variables["OPENAI_MODEL"] = "m-1"
    return _qwen(at, "openai")


@_case("qwen-messages", "qwen", "Qwen Code", purposes=frozenset({"memory"}))
def _(at: Setting) -> Sequence[Command]:
    at.variables |= {"ANTHROPIC_BASE_URL": at.anthropic, "ANTHROPIC_API_KEY": "token"}
    at.variables["ANTHROPIC_MODEL"] = "m-1"
    return _qwen(at, "anthropic")


@_case("cline-chat", "cline", "Cline", prompts=(FIRST,))
def _(at: Setting) -> Sequence[Command]:
    login = ["auth", "-p", "openai", "-k", "token", "-m", "gpt-5", "-b", at.openai]
    return [[at.program, *login], [at.program, "-y", FIRST]]


for _api, _type in (("chat", "openai"), ("messages", "anthropic")):

    @_case(f"copilot-{_api}", "copilot", "GitHub Copilot (CLI)")
    def _(at: Setting, type: str = _type) -> Sequence[Command]:
        at.variables |= {
            "COPILOT_PROVIDER_BASE_URL": at.openai if type == "openai" else at.anthropic,
            "COPILOT_PROVIDER_TYPE": type,
            "COPILOT_PROVIDER_API_KEY": "token",
            "COPILOT_MODEL": "claude-sonnet-4-5" if type == "anthropic" else "m-1",
            "COPILOT_OFFLINE": "true",
        }
        run = [at.program, "--allow-all-tools"]
        return [[*run, "-p", FIRST], [*run, "--continue", "-p", SECOND]]


for _api, _provider, _model in (
    ("responses", "openai", "gpt-5"),
    ("messages", "anthropic", "claude-sonnet-4-5"),
):

    @_case(f"continue-{_api}", "continue", "Continue")
    def _(at: Setting, provider: str = _provider, model: str = _model) -> Sequence[Command]:
        base = at.openai if provider == "openai" else f"{at.anthropic}/v1/"
        config = at.write(
            "config.yaml",
            "name: c\nversion: 1.0.0\nschema: v1\nmodels:\n"
            f"  - {{name: m, provider: {provider}, model: {model}, apiKey: token, "
            f'apiBase: "{base}", roles: [chat]}}\n',
        )
        run = [at.program, "--config", config, "--auto"]
        return [[*run, "-p", FIRST], [*run, "--resume", "-p", SECOND]]


for _api, _kind in (
    ("chat", "openai-completions"),
    ("responses", "openai-responses"),
    ("messages", "anthropic-messages"),
):

    @_case(f"pi-{_api}", "pi", "pi", is_one_session=_api == "responses")
    def _(at: Setting, kind: str = _kind) -> Sequence[Command]:
        model = {
            "id": "m-1",
            "name": "m",
            "reasoning": False,
            "input": ["text"],
            "cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0},
            "contextWindow": 100_000,
            "maxTokens": 4096,
        }
        base = at.anthropic if kind.startswith("anthropic") else at.openai
        provider = {"baseUrl": base, "apiKey": "token", "api": kind, "models": [model]}
        at.write(".pi/agent/models.json", {"providers": {"gateway": provider}})
        run = [at.program, "--provider", "gateway", "--model", "m-1"]
        return [[*run, "-p", FIRST], [*run, "-c", "-p", SECOND]]


for _model in ("anthropic/claude-sonnet-4-5", "openai/gpt-5"):

    @_case(f"pi-{_model.partition('/')[0]}-set-up", "pi", "pi", signs_in=True)
    def _(at: Setting, model: str = _model) -> Sequence[Command]:
        provider, _, name = model.partition("/")
        run = [at.program, "--provider", provider, "--model", name]
        return [_set_up(at, "pi"), [*run, "-p", FIRST], [*run, "-c", "-p", SECOND]]


def _keys(at: Setting) -> None:
    at.variables |= {
        "OPENAI_API_KEY": "token",
        "ANTHROPIC_API_KEY": "token",
        "OPENAI_BASE_URL": at.openai,
        "OPENAI_API_BASE": at.openai,
        "ANTHROPIC_BASE_URL": at.anthropic,
        "ANTHROPIC_API_BASE": at.anthropic,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }


for _api, _model in (("chat", "openai/gpt-4o"), ("messages", "anthropic/claude-sonnet-4-5")):

    @_case(f"aider-{_api}", "aider", "aider", prompts=(FIRST,))
    def _(at: Setting, model: str = _model) -> Sequence[Command]:
        _keys(at)
        quiet = ["--no-git", "--no-show-model-warnings", "--no-check-update", "--no-analytics"]
        return [[at.program, "--model", model, "--yes-always", *quiet, "--message", FIRST]]

    @_case(f"mini-{_api}", "mini", "mini-swe-agent", prompts=(FIRST,))
    def _(at: Setting, model: str = _model) -> Sequence[Command]:
        _keys(at)
        at.variables |= {"MSWEA_CONFIGURED": "true", "MSWEA_COST_TRACKING": "ignore_errors"}
        return [[at.program, "-m", model, "-t", FIRST, "-y", "--exit-immediately"]]

    @_case(f"gptme-{_api}", "gptme", "gptme", purposes=frozenset({"title"}))
    def _(at: Setting, model: str = _model) -> Sequence[Command]:
        _keys(at)
        run = [at.program, "-m", model, "-n", "--name", "talk"]
        return [[*run, FIRST], [*run, "-r", SECOND]]

    @_case(f"fast-agent-{_api}", "fast-agent", "fast-agent", prompts=(FIRST,))
    def _(at: Setting, model: str = _model) -> Sequence[Command]:
        _keys(at)
        config = at.write(
            "fastagent.config.yaml",
            f"openai: {{base_url: '{at.openai}'}}\nanthropic: {{base_url: '{at.anthropic}'}}\n",
        )
        run = [at.program, "go", "--config-path", config, "--shell"]
        return [[*run, "--model", model.replace("/", "."), "--message", FIRST]]

    @_case(f"openhands-{_api}", "openhands", "OpenHands", prompts=(FIRST,))
    def _(at: Setting, model: str = _model) -> Sequence[Command]:
        _keys(at)
        base = at.openai if model.startswith("openai") else at.anthropic
        at.variables |= {"LLM_API_KEY": "token", "LLM_MODEL": model, "LLM_BASE_URL": base}
        return [[at.program, "--headless", "--override-with-envs", "--yolo", "-t", FIRST]]

    @_case(f"llm-{_api}", "llm", "Unknown", script="text")
    def _(at: Setting, model: str = _model) -> Sequence[Command]:
        _keys(at)
        at.variables["LLM_USER_PATH"] = str(at.home)
        other = f"- {{model_id: other, model_name: m-1, api_base: '{at.openai}'}}\n"
        at.write("extra-openai-models.yaml", other)
        name = "other" if model.startswith("openai") else "claude-sonnet-4.5"
        run = [at.program, "-m", name, "--key", "token"]
        return [[*run, FIRST], [*run, "-c", SECOND]]

    @_case(f"vibe-{_api}", "vibe", "Mistral Vibe", is_one_session=True)
    def _(at: Setting, model: str = _model) -> Sequence[Command]:
        style = model.partition("/")[0]
        base = at.openai if style == "openai" else at.anthropic
        at.variables |= {"MISTRAL_API_KEY": "token", "GATEWAY_TOKEN": "token"}
        at.variables["VIBE_HOME"] = str(at.home / ".vibe")
        at.write(
            ".vibe/config.toml",
            'active_model = "m"\nenable_telemetry = false\nenable_update_checks = false\n'
            f'[[providers]]\nname = "gateway"\napi_base = "{base}"\nbackend = "generic"\n'
            f'api_key_env_var = "GATEWAY_TOKEN"\napi_style = "{style}"\n'
            '[[models]]\nname = "m-1"\nprovider = "gateway"\nalias = "m"\n',
        )
        run = [at.program, "--trust", "--auto-approve"]
        return [[*run, "-p", FIRST], [*run, "-c", "-p", SECOND]]
