"""The forms of the pages: what may be typed, and what is said when it cannot be accepted."""

from unicodedata import category

from flask_wtf import FlaskForm
from wtforms import HiddenField, PasswordField, RadioField, SelectField, StringField
from wtforms.fields import SelectChoice
from wtforms.validators import EqualTo, InputRequired, Length, ValidationError

from clock import now_ms
from organizations.passwords import MIN_LENGTH
from organizations.setup_links import DAY_SECONDS, DEFAULT_LIFETIME_SECONDS, MAX_LIFETIME_SECONDS
from organizations.setup_links import NAME_LENGTH as SETUP_LINK_NAME_LENGTH
from organizations.validation import ADDRESS_LENGTH, NAME_LENGTH

DAY_MS = 24 * 3600 * 1000


def printable(text: str | None) -> str:
    """Return a typed line without control characters and without space around it."""
    return "".join(character for character in text or "" if category(character) not in ("Cc", "Cs")).strip()


def end_of(days: str) -> int | None:
    """Return the end of a lifetime that was chosen, in Unix milliseconds; None where there is none."""
    return now_ms() + int(days) * DAY_MS if days else None


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
        return end_of(self.lifetime.data)


class RotateTokenForm(FlaskForm):
    """The form that issues a token in the place of another one."""

    overlap = SelectField(
        "The old token works on for",
        description="Time enough to paste the new one into the identity provider.",
        choices=[SelectChoice("3600", "One hour"), SelectChoice("86400", "One day"), SelectChoice("604800", "7 days")],
        default="86400",
    )
    lifetime = IssueTokenForm.lifetime
    nonce = HiddenField()


class SwitchOffForm(FlaskForm):
    """The form that switches a directory off."""

    people = RadioField(
        "What becomes of its people",
        choices=[("keep", "Keep them as members"), ("suspend", "Suspend them")],
        validators=[InputRequired("Choose what becomes of the people.")],
    )


class SetupLinkForm(FlaskForm):
    """The form that makes a setup link."""

    name = StringField(
        "Who is it for?",
        description="A name by which you will know the link, such as “Kim from IT”. Kim sees it too.",
        filters=[printable],
    )
    lifetime = SelectField(
        "Works for",
        description="Until then it can be opened in any number of browsers. You can revoke it at any time.",
        choices=[
            SelectChoice(str(DAY_SECONDS), "One day"),
            SelectChoice(str(DEFAULT_LIFETIME_SECONDS), "7 days"),
            SelectChoice(str(MAX_LIFETIME_SECONDS), "30 days"),
        ],
        default=str(DEFAULT_LIFETIME_SECONDS),
    )
    nonce = HiddenField()

    def validate_name(self, field: StringField) -> None:
        """Check the name as the domain will, in the words of this form."""
        if not field.data:
            raise ValidationError("Say who the link is for.")
        if len(field.data) > SETUP_LINK_NAME_LENGTH:
            raise ValidationError(f"The name must be {SETUP_LINK_NAME_LENGTH} characters or fewer.")


class PasswordSignInForm(FlaskForm):
    """The form that signs a member in by e-mail address and password."""

    email = StringField(
        "E-mail address",
        filters=[printable],
        validators=[
            InputRequired("Enter your e-mail address."),
            Length(max=ADDRESS_LENGTH, message=f"An e-mail address has {ADDRESS_LENGTH} characters or fewer."),
        ],
    )
    password = PasswordField("Password", validators=[InputRequired("Enter your password.")])


class PasswordProofForm(FlaskForm):
    """The form in which a signed-in member types the password once more."""

    password = PasswordField("Password", validators=[InputRequired("Enter your password.")])


class NewPasswordForm(FlaskForm):
    """The form that sets the own password."""

    password = PasswordField(
        "New password",
        description=f"{MIN_LENGTH} characters or more. Four words in a row make a good one.",
        validators=[InputRequired("Enter a new password.")],
    )
    again = PasswordField("The same once more", validators=[EqualTo("password", "The two passwords differ.")])


class ConfirmForm(FlaskForm):
    """A form with nothing but its button."""


class ChangeRoleForm(FlaskForm):
    """The form that gives a member another role by hand."""

    role = RadioField("New role", validate_choice=False)
