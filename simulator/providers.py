"""The identity providers that can be played: each one's client, its own chapters, and the option that sets its way."""

from collections.abc import Sequence
from dataclasses import dataclass

from simulator import entra, google, jumpcloud, okta, onelogin, ping, rippling
from simulator.client import Client
from simulator.stage import Chapter


@dataclass(frozen=True)
class Provider:
    """An IdP that can be played. ``option`` names the option for its way of speaking, as that IdP would call it."""

    client: type[Client]
    chapters: Sequence[Chapter]
    option: str


PROVIDERS = {
    "okta": Provider(okta.OktaClient, okta.CHAPTERS, "--app"),
    "entra": Provider(entra.EntraClient, entra.CHAPTERS, "--dialect"),
    "google": Provider(google.GoogleClient, google.CHAPTERS, "--changes-by"),
    "rippling": Provider(rippling.RipplingClient, rippling.CHAPTERS, "--changes-by"),
    "onelogin": Provider(onelogin.OneLoginClient, onelogin.CHAPTERS, "--removal"),
    "jumpcloud": Provider(jumpcloud.JumpCloudClient, jumpcloud.CHAPTERS, "--changes-by"),
    "ping": Provider(ping.PingClient, ping.CHAPTERS, "--groups-by"),
}
