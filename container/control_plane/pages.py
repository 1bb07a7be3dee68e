"""GET /docs: the API for people to try, all of it from this service: a page trusts whatever it loads scripts from.

The scripts are Swagger UI's, as the package `fastapi-offline` brings them.
"""

import base64
import hashlib
import re
from importlib.resources import files

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles

ASSETS = "docs/assets"


def install(app: FastAPI) -> None:
    """Add the page and what it loads."""
    # Addresses are relative to the page, which may be behind a path of a proxy.
    page = get_swagger_ui_html(
        openapi_url=str(app.openapi_url).removeprefix("/"),
        title=app.title,
        swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{ASSETS}/favicon.png",
    )

    page.headers.update(_security_headers(bytes(page.body).decode()))

    async def docs(request: Request) -> Response:
        if request.scope["raw_path"].endswith(b"/"):
            return RedirectResponse("../docs")  # relative addresses lead elsewhere from there
        return page

    app.add_route("/docs", docs, include_in_schema=False)
    app.mount(f"/{ASSETS}", StaticFiles(directory=str(files("fastapi_offline") / "static")))


def _security_headers(html: str) -> dict[str, str]:
    """Return the headers of a page: it runs the scripts that it has, loads from this service, and stands in no frame.

    Swagger UI writes styles into its elements: those need 'unsafe-inline'.
    """
    hashes = (hashlib.sha256(script.encode()).digest() for script in re.findall("<script>(.*?)</script>", html, re.S))
    scripts = " ".join(f"'sha256-{base64.b64encode(each).decode()}'" for each in hashes)
    policy = {
        "default-src": "'none'",
        "script-src": f"'self' {scripts}",
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
    }
