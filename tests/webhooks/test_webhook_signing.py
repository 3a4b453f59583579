"""Our signatures against two verifiers that are not ours."""

import base64
import time
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook as StandardWebhook
from standardwebhooks.webhooks import WebhookVerificationError as StandardError
from svix.webhooks import Webhook as SvixWebhook
from svix.webhooks import WebhookVerificationError as SvixError

from webhooks.signing import PREFIX, new_signing_secret, signature, signature_headers

VERIFIERS: list[Any] = [(StandardWebhook, StandardError), (SvixWebhook, SvixError)]
BODY = '{"type":"scimUser.provisioned","data":{"user":{"first_name":"Łucja"}}}'.encode()


def sign(*secrets: str, at: int | None = None) -> dict[str, str]:
    return signature_headers("evt_1", int(time.time()) if at is None else at, BODY, secrets)


def test_the_signature_is_that_of_the_specification() -> None:
    # The example of the Standard Webhooks documentation.
    body = b'{"test": 2432232314}'
    signed = signature("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_new_secret_has_enough_random_bytes_and_is_never_the_same() -> None:
    first, second = new_signing_secret(), new_signing_secret()
    assert first != second
    assert 24 <= len(base64.b64decode(first.removeprefix(PREFIX), validate=True)) <= 64


@pytest.mark.parametrize(("verifier", "_error"), VERIFIERS)
def test_both_libraries_accept_our_signature(verifier: Any, _error: Any) -> None:
    secret = new_signing_secret()
    verifier(secret).verify(BODY, sign(secret))


@pytest.mark.parametrize(("verifier", "error"), VERIFIERS)
def test_both_libraries_refuse_an_altered_body(verifier: Any, error: Any) -> None:
    secret = new_signing_secret()
    with pytest.raises(error):
        verifier(secret).verify(BODY + b" ", sign(secret))


@pytest.mark.parametrize(("verifier", "error"), VERIFIERS)
@pytest.mark.parametrize("minutes", [-6, 6])
def test_both_libraries_refuse_a_message_that_is_too_old_or_too_new(verifier: Any, error: Any, minutes: int) -> None:
    secret = new_signing_secret()
    with pytest.raises(error):
        verifier(secret).verify(BODY, sign(secret, at=int(time.time()) + 60 * minutes))


@pytest.mark.parametrize(("verifier", "error"), VERIFIERS)
@pytest.mark.parametrize("header", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_both_libraries_refuse_a_message_without_a_header(verifier: Any, error: Any, header: str) -> None:
    secret = new_signing_secret()
    headers = sign(secret)
    del headers[header]
    with pytest.raises(error):
        verifier(secret).verify(BODY, headers)


@pytest.mark.parametrize(("verifier", "error"), VERIFIERS)
def test_while_a_secret_is_rotated_the_old_and_the_new_one_verify_and_no_other(verifier: Any, error: Any) -> None:
    old, new = new_signing_secret(), new_signing_secret()
    headers = sign(new, old)
    verifier(old).verify(BODY, headers)
    verifier(new).verify(BODY, headers)
    with pytest.raises(error):
        verifier(new_signing_secret()).verify(BODY, headers)
