"""The cost of a request and of a streamed event, beside nginx in the same run."""
