"""Who is told the daemon's status: the status socket, the HTTP API, and the supervisor."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import msgspec

from aibridged.daemon.status_report import Status
from aibridged.daemon.status_server import StatusServer
from aibridged.daemon.status_socket import DAEMON
from aibridged.daemon.workers.channel import ChannelError
from aibridged.daemon.workers.group_status import GROUP_STATUS, STATUS
from aibridged.daemon.workers.siblings import Siblings


class StatusService:
    """Tells what `own` says of this process, or what all of its `siblings` say together."""

    def __init__(self, own: Callable[[], Awaitable[Status]], siblings: Siblings) -> None:
        self._own = own
        self._siblings = siblings

    async def read(self) -> Status:
        """The status of the daemon."""
        if self._siblings.count > 1:
            with suppress(ChannelError):  # the supervisor has ended, and this process is about to
                return await self._siblings.ask_supervisor(GROUP_STATUS, gives=Status)
        return await self._own()

    def serve(self, state_dir: Path, stack: AsyncExitStack) -> None:
        """Answer the supervisor, which has the status socket; without one, have it here."""
        if self._siblings.count > 1:
            self._siblings.on(STATUS, self._told)
            return
        server = StatusServer(state_dir, DAEMON, self.document)
        stack.push_async_callback(server.close)
        server.start()

    async def _told(self, _: object) -> Status:
        return await self._own()

    async def document(self) -> bytes:
        """That of this process as JSON."""
        return msgspec.json.encode(await self._own())
