"""Agents are run where they are installed: `make agents` says where."""

import os

FOLDER = os.environ.get("AIBRIDGED_AGENTS")

collect_ignore = [] if FOLDER else ["test_agents.py", "test_spend_limits.py"]
