"""A process that is one daemon after another: for a test that kills many, importing takes longest.

For each line on its standard input it forks a child, which runs `aibridged serve`, and says the
child's id on its standard output; once the child has ended, it says with which status.
"""

import os
import sys

# What a daemon loads, before the first of them.
from genai_prices import data

from aibridged.cli import main

assert data

for _ in sys.stdin:
    if child := os.fork():
        os.write(1, b"%d\n" % child)
        os.write(1, b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    else:
        sys.argv = ["aibridged", "serve"]
        sys.exit(main())
