"""The system's CA certificates, which are read beside what else is imported at the start."""

import ssl
from importlib import import_module
from threading import Thread


def import_aiohttp() -> Thread:
    """Import aiohttp; the thread that is returned then reads the certificates for it.

    Wait for its end before the first connection. aiohttp makes two TLS contexts when it is
    imported, and would read the certificates for both, though one verifies nothing. A reading takes
    some 20 ms, without the interpreter's lock. No other thread may make a context meanwhile.
    """
    made: list[ssl.SSLContext] = []
    read = ssl.SSLContext.set_default_verify_paths
    ssl.SSLContext.set_default_verify_paths = lambda self: made.append(self)  # type: ignore[method-assign]
    try:
        import_module("aiohttp")
    finally:
        ssl.SSLContext.set_default_verify_paths = read  # type: ignore[method-assign]

    def read_all() -> None:
        for context in made:
            if context.verify_mode is not ssl.CERT_NONE:
                read(context)

    # No daemon thread: at the exit, OpenSSL mustn't be torn down under it.
    thread = Thread(target=read_all, name="CA certificates")
    thread.start()
    return thread
