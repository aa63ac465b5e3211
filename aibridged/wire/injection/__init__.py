"""Tool injection, sans I/O: the gateway's tools in requests, and the dialogue about them.

A `Candidate` puts them into a request. A `Dialogue` then reads each response: it says which tools
the model calls, makes the request with their results, and turns all responses into one for the
client, without those calls.
"""
