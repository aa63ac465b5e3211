"""OpenCode: a plugin, since its configuration has no command for the token.

It sets the base URL of Anthropic's and OpenAI's providers, whatever `opencode.json` says, and puts
a fresh token on every request.
"""

import json
from collections.abc import Sequence

from ..failure import LoginError
from ..folders import xdg_config
from .change import Change, read
from .target import Target

_PLUGIN = """\
// Made by `aibridged setup %(agent)s`; `aibridged setup %(agent)s --undo` removes it.
import { execFile } from "node:child_process"

const BASE_URL = %(base)s
const COMMAND = %(command)s
const PROVIDERS = %(providers)s
const KEPT_MS = 60_000

let token = ""
let asked = 0

async function freshToken() {
  if (token && Date.now() - asked < KEPT_MS) return token
  const [program, ...args] = COMMAND
  token = await new Promise((resolve, reject) =>
    execFile(program, args, { timeout: 30_000 }, (error, stdout, stderr) =>
      error ? reject(new Error(stderr.trim() || error.message)) : resolve(stdout.trim()),
    ),
  )
  asked = Date.now()
  return token
}

export const Aibridged = async () => ({
  config: async (config) => {
    config.provider ??= {}
    for (const name of PROVIDERS) {
      const provider = (config.provider[name] ??= {})
      provider.options = { ...provider.options, baseURL: BASE_URL, apiKey: "aibridged" }
    }
  },
  "chat.headers": async (input, output) => {
    if (PROVIDERS.includes(input.model.providerID))
      output.headers["Authorization"] = `Bearer ${await freshToken()}`
  },
})
"""
_PROVIDERS = ("anthropic", "openai")


def plan(target: Target) -> tuple[Sequence[Change], Sequence[str]]:
    """The changes, and what the person has to know."""
    return plugin(target, "opencode")


def plugin(target: Target, agent: str) -> tuple[Sequence[Change], Sequence[str]]:
    """The plugin for OpenCode, or for an agent that was made of it and is called so."""
    if target.provider is not None:
        raise LoginError(
            f"--provider can't be given for {agent}: it uses several",
            "The gateway's first provider of each type serves it.",
        )
    made = _PLUGIN % {
        "agent": agent,
        "base": json.dumps(f"{target.base}/v1"),
        "command": json.dumps(list(target.command)),
        "providers": json.dumps(_PROVIDERS),
    }
    folder = xdg_config(target.environ, target.home) / agent
    path = folder / "plugins" / "aibridged.js"
    return [Change(path, read(path), made)], target.notes()
