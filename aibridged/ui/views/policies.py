"""Policies: what each grants, and which counts for a person."""

from aibridged.errors import GatewayError
from aibridged.ui.page import Html, Page, Role, Visit


async def policies(visit: Visit) -> Html:
    """All policies, and the explanation for a person and a model that the address names."""
    user, model = (visit.query.get(name, "").strip() for name in ("user", "model"))
    found = await visit.ask("/policies")
    explanation, error = None, ""
    if user:
        try:
            explanation = await visit.ask(
                "/policies/explain", "GET", None, user=user, **({"model": model} if model else {})
            )
        except GatewayError as refused:
            if refused.kind.status not in (400, 404):
                raise
            error = refused.message
    values = {
        "policies": found["results"],
        "user": user,
        "model": model,
        "explanation": explanation,
        "error": error,
    }
    return Html("people/policies.html", values, 400 if error else 200)


PAGES = (Page("/policies", "Policies", policies, role=Role.ADMIN, nav="Policies", key="c"),)
