"""Receives spans over OTLP by HTTP, and discards them.

python -m bench.span_receiver HOST PORT
"""

from aiohttp import web

from bench.serving import serve


async def take(request: web.BaseRequest) -> web.Response:
    """Respond like a collector."""
    await request.read()
    return web.Response(content_type="application/x-protobuf")


if __name__ == "__main__":
    serve(take)
