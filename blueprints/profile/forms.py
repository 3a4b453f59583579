"""The forms of the pages: what may be typed, and what is said when it cannot be accepted."""

from unicodedata import category

from flask_wtf import FlaskForm
from wtforms import HiddenField, SelectField, StringField
from wtforms.fields import SelectChoice
from wtforms.validators import ValidationError

from clock import now_ms
from organizations.validation import NAME_LENGTH

DAY_MS = 24 * 3600 * 1000


def printable(text: str | None) -> str:
    """Return a typed line without control characters and without space around it."""
    return "".join(character for character in text or "" if category(character) not in ("Cc", "Cs")).strip()


class IssueTokenForm(FlaskForm):
    """The form that issues a SCIM token."""

    label = StringField(
        "Label",
        description="Say which IdP and which environment will hold it, such as “Okta — Production”.",
        filters=[printable],
    )
    lifetime = SelectField(
        "Expires",
        description="An IdP stops syncing the moment its token expires.",
        choices=[SelectChoice("", "Never"), SelectChoice("90", "In 90 days"), SelectChoice("365", "In one year")],
    )
    nonce = HiddenField()

    def validate_label(self, field: StringField) -> None:
        """Check the label as the domain will, in the words of this form."""
        if not field.data:
            raise ValidationError("Enter a label.")
        if len(field.data) > NAME_LENGTH:
            raise ValidationError(f"The label must be {NAME_LENGTH} characters or fewer.")

    def expires_at(self) -> int | None:
        """Return the chosen end in Unix milliseconds, or None for a token without one."""
        days = self.lifetime.data
        return now_ms() + int(days) * DAY_MS if days else None


class ConfirmForm(FlaskForm):
    """A form with nothing but its button."""
