"""The forms of the webhook pages: an endpoint, and a moment since which events are sent again."""

from datetime import UTC, datetime

from flask_wtf import FlaskForm
from wtforms import BooleanField, HiddenField, RadioField, SelectField, StringField
from wtforms.fields import SelectChoice

from blueprints.profile.forms import printable
from errors import InvalidInput
from webhooks.destinations import MAX_URL_LENGTH
from webhooks.endpoints import DESCRIPTION_LENGTH
from webhooks.events import DESCRIPTIONS, EVENT_TYPES

ALL = "*"
SINCE = {"hour": ("The last hour", 3600), "day": ("The last 24 hours", 86_400), "week": ("The last 7 days", 604_800)}


class EndpointForm(FlaskForm):
    """Where events go, which, and what for. ``endpoint_form`` adds a field for each type."""

    url = StringField(
        "URL",
        description="The address of your receiver, such as https://example.com/webhooks. It must be public.",
        filters=[printable],
    )
    description = StringField("Description", description="What receives the events. Optional.", filters=[printable])
    all_events = RadioField(
        "Events", choices=[SelectChoice("yes", "All events, new types too"), SelectChoice("no", "Only these:")]
    )
    nonce = HiddenField()

    def event_fields(self) -> list[BooleanField]:
        """Return the field of each event type."""
        return [field for name, field in self._fields.items() if name.startswith("event_")]

    def event_types(self) -> list[str]:
        """Return the event types that were chosen."""
        if self.all_events.data != "no":
            return [ALL]
        return [kind for kind, field in zip(EVENT_TYPES, self.event_fields(), strict=True) if field.data]

    def check(self) -> bool:
        """Tell whether what was typed may be sent on to the domain; what is wrong stands at its field."""
        self.url.errors = [] if self.url.data else ["Enter the URL of your receiver."]
        if len(self.url.data or "") > MAX_URL_LENGTH:
            self.url.errors = [f"The URL must be {MAX_URL_LENGTH} characters or fewer."]
        if len(self.description.data or "") > DESCRIPTION_LENGTH:
            self.description.errors = [f"The description must be {DESCRIPTION_LENGTH} characters or fewer."]
        if not self.event_types():
            self.all_events.errors = ["Choose one event at least, or all."]
        return not self.errors

    def show(self, refusal: InvalidInput) -> None:
        """Put what the domain refuses at its field."""
        for problem in refusal.problems:
            by_name = {"url": self.url, "description": self.description}
            field = by_name.get(str(problem.meta.get("param")), self.all_events)
            field.errors = [*field.errors, problem.message]


def endpoint_form(chosen: list[str] | None = None, **values: str | None) -> EndpointForm:
    """Return a form for an endpoint that has these event types, or families of them such as ``scimUser.*``."""
    patterns = [ALL] if chosen is None else chosen
    fields = {
        f"event_{kind.replace('.', '_')}": BooleanField(
            kind, description=DESCRIPTIONS[kind].replace("`", ""), default=_covers(patterns, kind)
        )
        for kind in EVENT_TYPES
    }
    form: EndpointForm = type("EndpointForm", (EndpointForm,), fields)(
        all_events="yes" if ALL in patterns else "no", **values
    )
    return form


def _covers(patterns: list[str], kind: str) -> bool:
    return any(pattern == kind or (pattern.endswith(".*") and kind.startswith(pattern[:-1])) for pattern in patterns)


class ReplayForm(FlaskForm):
    """Since when events are sent again, and whether all or what failed."""

    since = SelectField(
        "Events of",
        choices=[
            *(SelectChoice(key, words) for key, (words, _) in SINCE.items()),
            SelectChoice("day_of", "Since a day"),
        ],
    )
    day = StringField("Day", description="For “Since a day”: its midnight in UTC.", filters=[printable])
    only_failed = BooleanField(
        "Leave out what was delivered",
        description="Only what failed, and what the endpoint missed while it was disabled.",
        default=True,
    )

    def moment(self, now: int) -> int | None:
        """Return the beginning in Unix milliseconds, or None with the reason at its field."""
        if self.since.data in SINCE:
            return now - SINCE[self.since.data][1] * 1000
        try:
            day = datetime.strptime(self.day.data or "", "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError:
            self.day.errors = ["Choose a day, such as 2026-03-01."]
            return None
        if not 1970 <= day.year <= 9000 or int(day.timestamp()) * 1000 > now:
            self.day.errors = ["Choose a day that is over."]
            return None
        return int(day.timestamp()) * 1000
