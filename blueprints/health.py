"""Probes for load balancers and supervisors."""

from flask import Blueprint, Response, jsonify

bp = Blueprint("health", __name__)


@bp.get("/healthz")
def healthz() -> Response:
    """Answer 200 while this web process serves requests. It looks at nothing else."""
    return jsonify(status="ok")
