"""Signing in with OpenID Connect: the identity provider's side."""
