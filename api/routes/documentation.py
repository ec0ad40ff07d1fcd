"""The OpenAPI page, from the program's own files: a site without internet sees it too."""

from __future__ import annotations

from importlib.resources import files
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse

from api.headers import page_policy
from api.mounting import url

ASSETS = files("fastapi_offline") / "static"  # Swagger UI as released

Asset = Literal["swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"]

router = APIRouter(include_in_schema=False)


@router.get("/")
async def front_door(request: Request) -> Response:
    """Lead a person who opens the service in a browser to its documentation."""
    return Response(status_code=307, headers={"Location": url(request, "/docs")})


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """Show the OpenAPI page."""
    page = get_swagger_ui_html(
        title=request.app.title,
        openapi_url=url(request, "/openapi.json"),
        swagger_js_url=url(request, "/docs/swagger-ui-bundle.js"),
        swagger_css_url=url(request, "/docs/swagger-ui.css"),
        swagger_favicon_url=url(request, "/docs/favicon.png"),
    )
    page.headers["Content-Security-Policy"] = page_policy(bytes(page.body))
    return page


@router.get("/docs/{asset}")
async def asset(asset: Annotated[Asset, Path()]) -> FileResponse:
    """Send a part of the page."""
    return FileResponse(str(ASSETS / asset), headers={"Cache-Control": "max-age=86400"})
