"""`python -m tools.manual [ROOT]`: regenerate man/ and completions/ in a source tree."""

import sys
from pathlib import Path

from tools.manual.contents import DIRECTORIES, contents


def write(root: Path) -> None:
    """Write everything below `root`, and remove what is no longer generated."""
    made = {root / path: text for path, text in contents().items()}
    for directory in DIRECTORIES:
        (root / directory).mkdir(exist_ok=True)
        for path in set((root / directory).iterdir()) - made.keys():
            path.unlink()
    for path, text in made.items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(*sys.argv[1:] or ["."]))
