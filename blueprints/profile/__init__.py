"""OrganizationProfile: the pages that an organization's admin sees. One module for each section."""

from flask import Blueprint
from flask_wtf.csrf import CSRFError

from blueprints.profile import (
    access,
    account,
    activity,
    attribute_mapping,
    directory_sync,
    groups,
    headers,
    mapping_words,
    member_access,
    members,
    password_sign_in,
    people_words,
    proof,
    setup_links,
    sign_in,
    switching,
    webhooks,
    wizard,
    words,
)

bp = Blueprint("profile", __name__)

bp.before_request(access.guard)
bp.after_app_request(headers.protect_page)
bp.app_context_processor(access.for_templates)
bp.register_error_handler(CSRFError, sign_in.form_not_checked)
words.add_filters(bp)
mapping_words.add_filters(bp)
people_words.add_filters(bp)

bp.register_blueprint(sign_in.bp)
bp.register_blueprint(password_sign_in.bp)
bp.register_blueprint(proof.bp)
bp.register_blueprint(account.bp)
bp.register_blueprint(members.bp)
bp.register_blueprint(directory_sync.bp)
bp.register_blueprint(member_access.bp)
bp.register_blueprint(switching.bp)
bp.register_blueprint(groups.bp)
bp.register_blueprint(setup_links.bp)
bp.register_blueprint(wizard.bp)
bp.register_blueprint(attribute_mapping.bp)
bp.register_blueprint(activity.bp)
bp.register_blueprint(webhooks.bp)
