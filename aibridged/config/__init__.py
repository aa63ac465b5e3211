"""Settings: one table, and everything that is read, checked or printed from it."""
