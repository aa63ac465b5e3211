"""Signing in: OAuth endpoints for devices (RFC 8628), and the pages that their users see.

A device asks for codes and polls; its user opens the device page, compares the code, and signs in
at the identity provider; then the device gets a bearer and a refresh token. `routes` has the paths,
`components` what the endpoints share.
"""
