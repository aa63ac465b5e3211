"""`aibridged users erase`: forgets a person on request."""

from typing import TYPE_CHECKING, Annotated

import typer

from aibridged.cli.cells import counted, time
from aibridged.cli.confirmation import YesFlag, confirm
from aibridged.cli.identity_store import Output, OutputFlag, as_json, changing, errors_are_told
from aibridged.cli.say import say

if TYPE_CHECKING:
    from aibridged.config.options import Settings
    from aibridged.identity.people import People, Person
    from aibridged.records.erasure import Erasure, Records

PATIENCE_S = 60.0
"""How long requests that are running may take to end."""
NOTICED_S = 8.0
"""After so long a daemon has noticed that tokens are gone, and admits no further request."""
SCRUB_PATIENCE_S = 15.0


def erase(
    settings: "Settings",
    user: Annotated[
        str, typer.Argument(metavar="USER", help="Username, or the id of a user in the records.")
    ],
    yes: YesFlag = False,
    output: OutputFlag = Output.TABLE,
) -> None:
    """Delete a person's prompts, tool calls, tokens and name, for a request to be forgotten.

    Interceptions and token counts remain for accounting, without a person. It works while the
    daemon runs, and leaves a row in the audit log.
    """
    from aibridged.clock import SystemClock
    from aibridged.identity.people import People
    from aibridged.records.erasure import Erasure
    from aibridged.records.open_database import open_existing_database
    from aibridged.records.pacing import may_have_daemon, pace_beside_daemon

    clock = SystemClock()
    with errors_are_told():
        engine = open_existing_database(settings)
        erasure = Erasure(engine, clock, pace_beside_daemon(engine, settings.state_dir, clock))
        people = People(engine, clock)
        person = _the_one(user, people.find(user, erasure.initiators(user)), erasure)
        before = erasure.count(person.id)
        typer.echo(_announcement(user, person, before), err=True)
        confirm("Erase?", yes=yes)
        with changing(settings):
            people.revoke(person)
        least = NOTICED_S if may_have_daemon(engine, settings.state_dir) else 0
        erasure.erase(person.id, least, PATIENCE_S)
        left = erasure.count(person.id)
        _conclude(people, person, before, left)
        is_scrubbed = erasure.scrub(settings.state_dir, SCRUB_PATIENCE_S)
    if output is Output.JSON:
        told = {"id": person.id, "erased": before._asdict(), "left": left._asdict()}
        typer.echo(as_json({**told, "scrubbed": is_scrubbed}))
    else:
        say(f"Erased {user}. The audit log has it under the id {person.id}.")
    _say_what_is_left(person, left, is_scrubbed=is_scrubbed)


def _conclude(people: "People", person: "Person", before: "Records", left: "Records") -> None:
    from aibridged.identity.audit import system_user

    people.forget(
        person,
        actor=system_user(),
        before=before._asdict(),
        after=left._asdict(),
        completely=not left.any,
    )


def _the_one(user: str, found: "list[Person]", erasure: "Erasure") -> "Person":
    from aibridged.identity.users import IdentityError

    if not found:
        raise IdentityError(
            f"There is no user {user!r}, and no record of one. See `aibridged users list` and"
            " `aibridged usage --by user`."
        )
    if len(found) == 1:
        return found[0]
    lines = [f"  {each.id}  {_described(each, erasure)}" for each in found]
    raise IdentityError(
        f"{counted(len(found), 'user')} have or had the name {user}: say which by the id.\n"
        + "\n".join(lines)
    )


def _described(person: "Person", erasure: "Erasure") -> str:
    requests = counted(erasure.count(person.id).interceptions, "interception")
    if person.created_at is None:
        return f"no user of this database, {requests}"
    end = f"deleted {time(person.deleted_at)}" if person.deleted_at else "active"
    return f"created {time(person.created_at)}, {end}, {requests}"


def _announcement(user: str, person: "Person", before: "Records") -> str:
    lines = [
        f"{user} ({person.id})",
        f"  Deleted:     prompts {before.prompts:,}, tool calls {before.tool_calls:,}, thoughts"
        f" {before.thoughts:,},",
        f"               stored objects {before.stored_objects:,}, counts of refusals"
        f" {before.refusals:,}; error messages,",
        "               session ids, user agents; the user, with all tokens.",
        f"  Kept:        interceptions {before.interceptions:,}, without a person: times, models,",
        "               outcomes and token counts, for accounting.",
        "  Not reached: log files, traces, metrics, --aibridge-dump-dir, backups, and",
        "               what providers have stored.",
    ]
    if before.open:
        lines.append(f"  Waited for:  requests that haven't ended, {before.open:,} now.")
    if person.created_at is None:
        lines.append("  Not a user of this database: revoke their access where it comes from.")
    return "\n".join(lines)


def _say_what_is_left(person: "Person", left: "Records", *, is_scrubbed: bool) -> None:
    if not is_scrubbed:
        say(
            "The daemon hasn't emptied the write-ahead log yet, since something else reads the"
            " database: it does so afterwards, within seconds. Until then deleted text is in it.",
            err=True,
        )
    if left.any:
        say(
            f"Left: {counted(left.interceptions, 'request')}, {left.open:,} still running: what"
            f" they record is still to come. Run `aibridged users erase {person.id}` again when"
            " they have; those of a daemon that was killed end when it is started.",
            err=True,
        )
        raise typer.Exit(1)
