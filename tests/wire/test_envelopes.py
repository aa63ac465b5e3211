"""What agents put around a person's words: a small text of each shape, as it was seen."""

from time import process_time

import pytest

from aibridged.wire.envelopes import (
    BLOCKS,
    ERRANDS,
    MEANWHILE,
    NOTICES,
    WINDOW,
    WRAPPINGS,
    Said,
    said_in,
)

SAID = Said("List the files.")

CLAUDE_CODE = [
    (["<system-reminder>\n# currentDate\nToday.\n</system-reminder>\n\n", "List the files."], SAID),
    (["<system-reminder>\nx\n</system-reminder>\n", "<system-reminder>y</system-reminder>"],
     Said()),
    ([f"{MEANWHILE}List the files.\n\nIMPORTANT: After completing your current task, you"], SAID),
    ([f"{MEANWHILE}List the files.\n\nThis is how Claude Code surfaces messages the"], SAID),
    (
        [
            "<command-message>fruit</command-message>\n<command-name>/fruit</command-name>\n"
            "<command-args>plum 42</command-args>",
            "Tell me about the fruit plum 42.\n",
        ],
        Said("/fruit plum 42\nTell me about the fruit plum 42.\n"),
    ),
    (
        ["<command-message>init</command-message>\n<command-name>/init</command-name>"],
        Said("/init"),
    ),
    (
        ["<command-name>/model</command-name>\n   <command-message>model</command-message>\n   "
         "<command-args></command-args>",
         "<local-command-stdout>Set model</local-command-stdout>", "List the files."],
        Said("/model\nList the files."),
    ),
    (["<local-command-caveat>Caveat.</local-command-caveat>", "<bash-input>ls -l</bash-input>",
      "<bash-stdout>a</bash-stdout><bash-stderr></bash-stderr>"], Said("!ls -l")),
    (["<local-command-stderr>no</local-command-stderr>", "List the files."], SAID),
    (["Stop hook feedback:\n[test]: keep going\n"], Said()),
    (["The text below is the output of a hook that the user set up. …\n\nkeep going"], Said()),
    (["[structured-output-enforce] Call the tool."], Said()),
    (["[Request interrupted by user for tool use]", "List the files."], SAID),
    (["[MESSAGE FROM NON-USER SOURCE - NOT USER INPUT]\nx"], Said()),
    (["This session is being continued from a previous conversation that ran out of context."],
     Said()),
    (
        ["<system-reminder>\n[SYSTEM NOTIFICATION - NOT USER INPUT]\nThis is automated.\n\n"
         "<task-notification>\n<task-id>a</task-id>\n<tool-use-id>toolu_1</tool-use-id>\n"
         "</task-notification>\n</system-reminder>"],
        Said(calls=("toolu_1",)),
    ),
    (["[SYSTEM NOTIFICATION - NOT USER INPUT]\nThis is automated."], Said()),
    (
        ["<task-notification>\n<tool-use-id>toolu_1</tool-use-id>\n</task-notification>",
         "<task-notification>\n<task-id>b</task-id>\n</task-notification>"],
        Said(calls=("toolu_1",)),
    ),
    (
        ["<session>\nList the files.\n</session>\n\nWrite the title in English."],
        Said(purpose="title"),
    ),
    (
        ["Stop hook feedback:\nx", "CRITICAL: Respond with TEXT ONLY. Do NOT call any tools.\n\n…"],
        Said(purpose="compaction"),
    ),
]  # fmt: skip

OTHERS = [
    # Kilo Code, Roo Code
    (["List the files.", "\n\n<environment_details>\nTime\n</environment_details>"], SAID),
    (["List the files.\n\n<environment_details>\nTime\n</environment_details>"], SAID),
    (["Generate a title for this conversation:\n\nTitle the task."], Said(purpose="title")),
    (
        [
            "Generate a concise, single-line task title of at most 36 characters and under five "
            "words where possible.\n\nUser prompt:\nList the files."
        ],
        Said(purpose="title"),
    ),
    # OpenCode
    (["Generate a title for this conversation:\n", '"List"'], Said(purpose="title")),
    (["Here is the conversation so far:\n\n<conversation>\n[User]: Hi\n</conversation>\n\nNow"],
     Said(purpose="compaction")),
    # Codex
    (["<environment_context>\n  <cwd>/</cwd>\n</environment_context>", "List the files."], SAID),
    (["# AGENTS.md instructions for /x\n\n<INSTRUCTIONS>\ny\n</INSTRUCTIONS>", "List the files."],
     SAID),
    (["<user_instructions>\n\ny\n\n</user_instructions>", "List the files."], SAID),
    (["<turn_aborted>\nThe user stopped it.\n</turn_aborted>", "List the files."], SAID),
    (["<subagent_notification>\n{}\n</subagent_notification>"], Said()),
    (["Another language model started to solve this problem and produced a summary"], Said()),
    (["You are performing a CONTEXT CHECKPOINT COMPACTION. Create a handoff summary"],
     Said(purpose="compaction")),
    # Cline
    (["List the files.", "[SYSTEM] This run is not complete until you call one of these"], SAID),
    (["<mode_notice>act</mode_notice>\nList the files."], SAID),
    # GitHub Copilot CLI
    (["<current_datetime>2026-11-30T00:18:12+00:00</current_datetime>\n\nList the files."], SAID),
    # gptme
    (["<system>No tool call detected in last message. Did you mean to finish?</system>"], Said()),
    (["Your task: Create a 2-4 word title for this conversation.\n\nRules:"],
     Said(purpose="title")),
    # mini-swe-agent
    (["Please solve this issue: List the files.\n\nYou can execute bash commands and edit files to "
      "implement the necessary changes.\n\n## Recommended Workflow"], SAID),
    # aider
    (["List the files.\n\n# *SEARCH/REPLACE block* Rules:\n\nEvery *SEARCH/REPLACE block* must use "
      "this format:\n1. The path.\n\n"], SAID),
    # Qwen Code
    (["<system-reminder>\nThe current date is: Monday.\n</system-reminder>", "List the files."],
     SAID),
    (["Managed memory directory: `/x`\n\nScan the recent"], Said(purpose="memory")),
    (["Managed memory has TWO directories. Choose"], Said(purpose="memory")),
]  # fmt: skip


@pytest.mark.parametrize(("texts", "expected"), [*CLAUDE_CODE, *OTHERS])
def test_as_it_was_seen(texts: list[str], expected: Said) -> None:
    assert said_in(texts) == expected


def test_every_row_is_among_them() -> None:
    seen = "\n".join(text for texts, _ in [*CLAUDE_CODE, *OTHERS] for text in texts)
    for block in BLOCKS:
        assert f"<{block.tag}>" in seen, block
    for row in (*NOTICES, *WRAPPINGS, *ERRANDS):
        assert row.beginning in seen, row
    for row in (*WRAPPINGS, *ERRANDS):
        assert row.end in seen, row
    assert all(row.seen for row in (*BLOCKS, *NOTICES, *WRAPPINGS, *ERRANDS))


@pytest.mark.parametrize(
    "text",
    [
        "List the files.",
        "",
        " \n",
        "<b>List</b> the files.",
        "<unheard-of>x</unheard-of>\nList the files.",
        "List the files.\n<unheard-of>x</unheard-of>\n",
        "<system-reminder>List the files.",
        "</system-reminder>",
        "List the files.</environment_details>",
        "List <environment_details> the files.",
        "What does <system-reminder>x</system-reminder> mean?",
        "Why is there [SYSTEM NOTIFICATION - NOT USER INPUT]?",
        "<session>\nList the files.\n</session>\n",
        f"{MEANWHILE}List the files.",
        "Please solve this issue: it hangs.",
        "<command-name></command-name>",
        "<" * 100,
        "<>",
        "x</>",
    ],
)
def test_what_is_in_no_row_is_kept_as_it_is(text: str) -> None:
    assert said_in([text]) == Said(text)
    assert said_in([text, "x"]).prompt == (f"{text}\nx" if text else "x")


def test_nothing_said() -> None:
    assert said_in([]) == Said()


def test_a_block_may_be_longer_than_what_is_looked_at() -> None:
    long = "x" * 2 * WINDOW
    assert said_in([f"<system-reminder>{long}</system-reminder>\n", "Hi"]) == Said("Hi")
    # But where it ends within is not seen.
    assert said_in([text := f"<system-reminder>{long}</system-reminder>Hi"]) == Said(text)
    assert said_in([f"{long}<system-reminder>x</system-reminder>"]) == Said(long)


HOSTILE = [
    "<system-reminder>",
    "<system-reminder></system-reminder>",
    "</system-reminder>",
    "<command-name>",
    "<bash-input>",
    "<task-notification><tool-use-id>",
    "\n\n# *SEARCH/REPLACE block* Rules:",
    MEANWHILE,
    "<",
    ">",
    "</",
    " ",
    "\n",
    "<session>\n",
    "Please solve this issue: ",
]


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize("closing", ["", "</system-reminder>", "</environment_details>  "])
def test_a_megabyte_of_anything_takes_milliseconds(piece: str, closing: str) -> None:
    for text in (piece * (WINDOW // len(piece)), piece * (1_000_000 // len(piece))):
        began = process_time()
        said_in([text + closing])
        said_in([closing + text])
        assert process_time() - began < 0.05
