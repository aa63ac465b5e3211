"""Who is calling: the authenticators."""
