"""The paths of signing in, with what guards all of them: bounds, places, errors in each shape."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

from aiohttp import web
from loguru import logger

from aibridged.errors import GatewayError
from aibridged.identity.base import Actor, AuthUnavailableError
from aibridged.identity.credential_key import CredentialKeyError
from aibridged.identity.lookups import NoRoomError
from aibridged.oidc.base import ProviderUnavailableError
from aibridged.sign_in import device, tokens
from aibridged.sign_in.callback import Callback
from aibridged.sign_in.components import Components
from aibridged.sign_in.device import CALLBACK, DevicePage, provider_away
from aibridged.sign_in.forms import fields, read_form
from aibridged.sign_in.oauth import OAuthError, answer, unavailable
from aibridged.sign_in.pages import AWAY, DEVICE, PageError, Pages, busy, store_away

Serve = Callable[[web.BaseRequest, Actor | None, str, bytes], Awaitable[web.StreamResponse]]
"""Serves a path, as the pipeline's local routes are served."""
_Handler = Callable[[web.BaseRequest, Mapping[str, str], bytes], Awaitable[web.StreamResponse]]
_OAuthHandler = Callable[
    [Components, web.BaseRequest, Mapping[str, str], bytes], Awaitable[web.StreamResponse]
]

READ = frozenset({"GET", "HEAD"})
# An OAuth endpoint refuses other methods itself, in OAuth's shape.
_ALL = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Path:
    """A path, with the methods that it takes."""

    methods: frozenset[str]
    serve: Serve


def paths(components: Components) -> Mapping[str, Path]:
    """All paths of signing in."""
    c = components
    pages = Pages(c.base, c.provider_name, is_secure=c.cookies.is_secure)
    page, callback = DevicePage(c, pages), Callback(c, pages)
    oauth = {
        "/oauth/device_authorization": device.authorize,
        "/oauth/token": tokens.grant,
        "/oauth/revoke": tokens.revoke,
    }
    return {
        "/.well-known/oauth-authorization-server": Path(READ, partial(_metadata, c)),
        **{path: Path(_ALL, partial(_oauth, c, handler)) for path, handler in oauth.items()},
        DEVICE: Path(READ | {"POST"}, partial(_page, c, pages, page.show, page.submit)),
        CALLBACK: Path(READ, partial(_page, c, pages, callback.arrive, None)),
    }


async def _metadata(
    c: Components, request: web.BaseRequest, actor: Actor | None, query: str, address: bytes
) -> web.StreamResponse:
    return answer(tokens.metadata(c))


async def _oauth(
    c: Components,
    handler: _OAuthHandler,
    request: web.BaseRequest,
    actor: Actor | None,
    query: str,
    address: bytes,
) -> web.StreamResponse:
    try:
        if request.method != "POST":
            raise OAuthError("invalid_request", "Use POST.", status=405, allow="POST")
        form = await read_form(request)
        async with c.places.place(address):
            return await handler(c, request, form, address)
    except OAuthError as error:
        return error.response()
    except GatewayError as error:
        return OAuthError("invalid_request", error.message, status=error.kind.status).response()
    except NoRoomError:
        return unavailable("Too many requests from this address are waiting.").response()
    except (AuthUnavailableError, CredentialKeyError, ProviderUnavailableError) as error:
        logger.error("A sign-in failed: {}", error)
        return unavailable(AWAY).response()


async def _page(
    c: Components,
    pages: Pages,
    show: _Handler,
    submit: _Handler | None,
    request: web.BaseRequest,
    actor: Actor | None,
    query: str,
    address: bytes,
) -> web.StreamResponse:
    try:
        if submit is not None and request.method == "POST":
            form = await read_form(request)
            async with c.places.place(address):
                return await submit(request, form, address)
        async with c.places.place(address):
            return await show(request, fields(query), address)
    except PageError as error:
        return pages.error(error)
    except OAuthError as error:  # another refresh of the same person
        away = PageError(error.status, "Please try again", error.sentence)
        return pages.error(away)
    except GatewayError as error:
        return pages.error(PageError(error.kind.status, "This didn't work", error.message))
    except NoRoomError:
        return pages.error(busy())
    except ProviderUnavailableError as error:
        c.count("provider_unavailable")
        return pages.error(provider_away(c.provider.issuer, error))
    except (AuthUnavailableError, CredentialKeyError) as error:
        return pages.error(store_away(error))
