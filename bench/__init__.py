"""What a request and a streamed event cost, beside nginx in the same run."""
