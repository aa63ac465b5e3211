"""Several processes that serve as one daemon: a supervisor and its workers."""
