"""Authentication backends: who is calling."""
