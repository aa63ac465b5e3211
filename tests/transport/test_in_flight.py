import asyncio

from aibridged.transport.in_flight import InFlight


async def ends_with(waiting, *endings):
    """Whether the waiting ends with the last of the endings, and not before."""
    task = asyncio.get_running_loop().create_task(waiting)
    for ending in endings:
        await asyncio.sleep(0)
        assert not task.done()
        ending()
    await task
    return True


async def test_idle_waits_for_the_last_request():
    in_flight = InFlight()
    requests = in_flight.next_generation()
    await in_flight.idle()
    requests.enter()
    requests.enter()
    assert await ends_with(in_flight.idle(), requests.leave, requests.leave)
    assert in_flight.count == 0


async def test_idle_waits_for_every_generation_and_for_what_begins_meanwhile():
    in_flight = InFlight()
    first, second = in_flight.next_generation(), in_flight.next_generation()
    first.enter()

    def pass_on():
        second.enter()
        first.leave()

    assert await ends_with(in_flight.idle(), pass_on, second.leave)


async def test_earlier_requests_are_waited_for_without_the_latest():
    in_flight = InFlight()
    first = in_flight.next_generation()
    first.enter()
    second = in_flight.next_generation()
    second.enter()
    in_flight.next_generation().enter()
    assert in_flight.count == 3
    assert await ends_with(in_flight.earlier_idle(), first.leave, second.leave)
    assert in_flight.count == 1


async def test_ended_generations_are_forgotten_and_the_latest_is_not():
    in_flight = InFlight()
    for _ in range(100):
        in_flight.next_generation()
    latest = in_flight.next_generation()
    in_flight.next_generation()
    latest.enter()  # whoever has the old configuration may still begin
    assert in_flight.count == 1
    assert len(in_flight._generations) == 2
