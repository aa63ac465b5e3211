"""The system's CA certificates are read once, and aiohttp verifies by them."""

import json
import os
import ssl
import subprocess
import sys

PROGRAM = """
import json, ssl
from aibridged.transport.ca_certificates import import_aiohttp

read, own = [], ssl.SSLContext.set_default_verify_paths

def count(context):
    read.append(context)
    own(context)

ssl.SSLContext.set_default_verify_paths = count
import_aiohttp().join()
is_restored = ssl.SSLContext.set_default_verify_paths is count

import aiohttp.connector
verified = aiohttp.connector._SSL_CONTEXT_VERIFIED
print(json.dumps({
    "restored": is_restored,
    "read": [context is verified for context in read],
    "verifies": [verified.verify_mode == ssl.CERT_REQUIRED, verified.check_hostname],
    "certificates": verified.cert_store_stats(),
}))
"""


def test_they_are_read_once_for_the_context_that_verifies() -> None:
    # pytest's own aiohttp has been imported.
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, env=os.environ
    )
    assert json.loads(ran.stdout) == {
        "restored": True,
        "read": [True],
        "verifies": [True, True],
        "certificates": ssl.create_default_context().cert_store_stats(),
    }
