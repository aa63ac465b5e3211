import asyncio

from aibridged.pipeline.in_flight import InFlight


async def test_idle_waits_for_the_last_request():
    in_flight = InFlight()
    await in_flight.idle()
    in_flight.enter()
    in_flight.enter()
    waiting = asyncio.get_running_loop().create_task(in_flight.idle())
    in_flight.leave()
    await asyncio.sleep(0)
    assert not waiting.done()
    in_flight.leave()
    await waiting
    assert in_flight.count == 0
