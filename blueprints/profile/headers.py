"""What every page tells the browser: run nothing but our own files, keep no copy, tell nobody the address."""

from flask import Response, current_app

from blueprints.errors import ScimText

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    # A sign-in link stands in the address; no other site may learn it.
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


# For a year, this host alone: what else stands on the domain is not ours to decide.
HTTPS_ONLY = "max-age=31536000"


def protect_page(response: Response) -> Response:
    """Return the response with the security headers of a page, if it is one. Headers that a view chose stay.

    No answer of whatever kind is to be taken for another kind than it says.
    """
    if isinstance(response, ScimText):  # which says so from the start
        return response
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    if response.mimetype == "text/html":
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if current_app.config["SESSION_COOKIE_SECURE"]:
            response.headers.setdefault("Strict-Transport-Security", HTTPS_ONLY)
    return response
