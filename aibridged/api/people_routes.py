"""All routes of people: users, tokens, groups, policies, and the caller's own."""

from aibridged.api import group_routes, me_routes, policy_routes, token_routes, user_routes
from aibridged.api.people import People
from aibridged.api.routes import Route


def people_routes(people: People) -> tuple[Route, ...]:
    """The routes."""
    parts = (user_routes, token_routes, group_routes, policy_routes, me_routes)
    return tuple(route for part in parts for route in part.routes(people))
