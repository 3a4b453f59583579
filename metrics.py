"""What is counted for Prometheus, across the processes of one machine.

The processes share a directory, named by ``PROMETHEUS_MULTIPROC_DIR`` before this
module is imported; without it each process counts for itself.
"""

from prometheus_client import Counter, Histogram

REQUESTS = Counter(
    "authn_scim_requests",
    "Requests answered, by who asked (scim, api, page), the identity provider by its client's name, method and status.",
    ["audience", "idp", "method", "status"],
)
REQUEST_SECONDS = Histogram(
    "authn_scim_request_seconds",
    "Seconds from the first line of our code to the answer.",
    ["audience", "method"],
    buckets=(0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20),
)
WEBHOOK_ATTEMPTS = Counter(
    "authn_scim_webhook_attempts", "Attempts to deliver an event to an endpoint: succeeded or failed.", ["outcome"]
)
SUCCEEDED, FAILED = WEBHOOK_ATTEMPTS.labels("succeeded"), WEBHOOK_ATTEMPTS.labels("failed")  # told from zero
DRAINS_BROKEN_OFF = Counter(
    "authn_scim_drains_broken_off", "Drains of an endpoint that ended by a defect; a sweep repeats them."
)
