"""Sans-I/O parsing of requests and responses: bytes in, facts out, no I/O and no clock."""
