"""A second caller, in a process of its own: asks all the time, and tells how long it had to wait.

    python -m tests.e2e.abuse.prober HOST PORT TOKEN PID...

Writes a line a request: when it began and how long it took, in seconds of the monotonic clock, how
long this process and those of the ids waited for a processor meanwhile, the status (0 where there
was no answer), and what was asked. Ends when its standard input does.
"""

import http.client
import os
import select
import sys
from time import perf_counter

from tests.own_time import waited

BODY = b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}'
DEADLINE_S = 30.0
PAUSE_S = 0.005


def main() -> None:
    host, port, token, *ids = sys.argv[1:]
    pids = (os.getpid(), *map(int, ids))
    asks = {
        "request": ("POST", "/anthropic/v1/messages", BODY, {"X-Api-Key": token}),
        "healthz": ("GET", "/healthz", None, {}),
    }
    connections = {
        kind: http.client.HTTPConnection(host, int(port), timeout=DEADLINE_S) for kind in asks
    }
    while not select.select([sys.stdin], [], [], PAUSE_S)[0]:
        for kind, (method, path, body, headers) in asks.items():
            before, began = waited(pids), perf_counter()
            try:
                connections[kind].request(method, path, body, headers)
                response = connections[kind].getresponse()
                response.read()
                status = response.status
            except (OSError, http.client.HTTPException):
                connections[kind].close()
                status = 0
            took = perf_counter() - began
            print(began, took, waited(pids) - before, status, kind, flush=True)


main()
