"""Tuning of glibc malloc: freed memory of large bodies is returned to the system."""

import ctypes
import sys

# From <malloc.h>.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

# Larger blocks are mapped one by one, and unmapped when they are freed. glibc would raise the
# threshold to 32 MiB with the first such block that is freed, and keep smaller ones in its heap.
_MAPPED_BYTES = 1024 * 1024
# This much free memory at the end of the heap is kept.
_KEPT_BYTES = 4 * 1024 * 1024
# Otherwise threads under contention would get heaps of their own, up to 8 per core.
_ARENAS = 2


def return_freed_memory() -> bool:
    """Have freed memory returned to the system; false without glibc."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 - musl has a mallopt, too, which does nothing
        mallopt = library.mallopt
    except (OSError, AttributeError):
        return False
    settings = (
        (_M_MMAP_THRESHOLD, _MAPPED_BYTES),
        (_M_TRIM_THRESHOLD, _KEPT_BYTES),
        (_M_ARENA_MAX, _ARENAS),
    )
    results = [mallopt(name, value) for name, value in settings]
    return all(results)
