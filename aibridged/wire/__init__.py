"""Readers of what goes over the wire: bytes in, facts out, no I/O and no clock."""
