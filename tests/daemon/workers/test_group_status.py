"""The status of several workers as one document."""

from aibridged.daemon.status_report import (
    Circuit,
    Circuits,
    Clients,
    Database,
    McpServer,
    Process,
    Records,
    Redis,
    Requests,
    RunningModel,
    Status,
    Worker,
)
from aibridged.daemon.workers.group_status import together

SERVING = Worker(name="Worker 1", pid=1, state="serving")
DOWN = Worker(name="Worker 2", state="down")


def status(number: int, state: str = "serving") -> Status:
    return Status(
        version="1",
        state=state,
        database=Database("SQLite", "/x", number != 2, number, 10.0 - number),
        records=Records(spool_bytes=number, lost=1),
        requests=Requests(number, [RunningModel("p", "m", number)], 0, 5, 9),
        redis=Redis(
            "redis://h:6379", number != 2, "why" * (number - 1), 3, number, number, number, 6
        ),
        circuits=Circuits(
            5,
            [
                Circuit("p", "/e", "m", "centralized", "open" if number == 2 else "closed", number),
                Circuit("p", "/e", f"only {number}", "byok", "closed", 1),
            ],
        ),
        mcp_servers=[McpServer("docs", number, "why", 2, 3)],
        clients=Clients(number, 1, 100),
        process=Process(1000, 9999, 1, 50, number, 200),
    )


def test_numbers_are_summed_up_and_what_is_shared_is_told_once() -> None:
    found = together([status(1), status(2)], [SERVING, SERVING])
    assert found.state == "serving"
    assert found.database == Database("SQLite", "/x", False, 3, 8.0)
    assert found.records == Records(spool_bytes=3, lost=2)
    assert found.requests == Requests(3, [RunningModel("p", "m", 3)], 0, 5, 9)
    assert found.redis == Redis("redis://h:6379", False, "why", 3, 2, 3, 2, 6)
    assert found.circuits is not None
    assert [(each.model, each.state) for each in found.circuits.troubled] == [
        ("m", "open"),
        ("only 1", "closed"),
        ("only 2", "closed"),
    ]
    assert found.mcp_servers == [McpServer("docs", 2, "why", 4, 6)]
    assert found.clients == Clients(3, 2, 200)
    assert found.process == Process(2000, 9999, 2, 100, 3, 400)


def test_the_writer_is_none_of_the_workers() -> None:
    writer = Worker(name="Writer 1", pid=2, state="serving")
    assert together([status(1)], [SERVING, DOWN], [writer]).state == "serving with 1 of 2 workers"
    assert together([], [DOWN], [writer]).state == "down, as no worker serves"
    found = together([status(1)], [SERVING], [DOWN])
    assert found.state == "serving without the writer of their records"
    assert found.workers == [DOWN, SERVING]


def test_a_group_says_that_it_is_not_whole() -> None:
    assert together([status(1)], [SERVING, DOWN]).state == "serving with 1 of 2 workers"
    writer = Worker("Writer 1", "writer", state="down")
    assert together([status(1)], [SERVING, SERVING], [writer]).state == (
        "serving without the writer of their records"
    )
    assert together([status(1)], [SERVING, DOWN], [writer]).state == (
        "serving with 1 of 2 workers, without the writer of their records"
    )
    writer.state = "serving"
    assert together([status(1)], [SERVING, DOWN], [writer]).state == "serving with 1 of 2 workers"
    assert together([], [DOWN, DOWN], [writer]).state == "down, as no worker serves"
    assert together([], [DOWN, DOWN]).state == "down, as no worker serves"
    refusing = status(2, "refusing requests, which can't be recorded")
    assert together([status(1), refusing], [SERVING, SERVING]).state == refusing.state
