"""A writer process without a supervisor: `writer_of_records.py STATE_DIR`, until SIGTERM.

It says "ready" once workers can connect.
"""

import asyncio
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from aibridged.clock import SystemClock
from aibridged.config.options import Settings
from aibridged.daemon.workers.writer_process import RecordWriter


async def main(state_dir: Path) -> None:
    """Write until told to stop."""
    settings, stopping = replace(Settings(), state_dir=state_dir), asyncio.Event()
    writer = RecordWriter(settings, SystemClock())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await writer.start()
    os.write(1, b"ready\n")
    await stopping.wait()
    await writer.stop()


asyncio.run(main(Path(sys.argv[1])))
