"""Our tables as the storage of scim2-server: models in, models out, one directory at a time."""

from typing import Any

from scim2_models import (
    Context,
    InvalidValueException,
    NotFoundException,
    PreconditionFailedException,
    Resource,
    ResourceType,
    ResponseParameters,
    ScimFilter,
    ScimProvider,
    SearchRequest,
    UniquenessException,
)
from scim2_server.storage import ScimStorage, SearchPage
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from clock import to_datetime
from database import conflict_of
from directory.directories import Directory
from directory.group_membership import MemberChange, hold_groups_of
from directory.groups import change_group, create_group, delete_group, hold_group
from directory.held_users import HeldUser, ask_directory_user, held_user, questions_of
from directory.lifecycle import change_directory_user, create_directory_user, delete_directory_user
from directory.resources import GroupResource, UserResource, load
from errors import Conflict, DomainError, InvalidInput, NotFound, VersionMismatch
from models import DirectoryGroup, DirectoryUser
from prepared import Asked, Prepared
from scim.documents import NOTHING, StoredDocument, version_of
from scim.group_members import read_members
from scim.projection import Projection, projection_of, shows_computed
from scim.reading import ask_groups, get_document, groups_question, with_few_members, with_groups, with_members
from scim.searching import Search
from scim.sorting import Position
from transactions.ahead import ask_ahead

# What is never part of a stored document: computed, given by us, or secret.
USER_LEFT_OUT = ("id", "meta", "groups", "password")
GROUP_LEFT_OUT = ("id", "meta", "members")

# PostgreSQL refuses index entries of more than some 2,700 bytes; a character takes at most four.
INDEXED_LENGTH = 512

TAKEN = {
    "uq_directory_users_user_name": "Another user of this directory has this userName.",
    "uq_directory_users_external_id": "Another user of this directory has this externalId.",
    "uq_directory_users_active_email": "Another active user of this directory has this e-mail address.",
    "same_person": "Another user of this directory has this e-mail address. Update or reactivate that user instead.",
    "uq_directory_groups_display_name": "Another group of this directory has this displayName.",
    "uq_directory_groups_external_id": "Another group of this directory has this externalId.",
}


class DirectoryStorage(ScimStorage):
    """The resources of one directory, inside one transaction that the caller commits.

    A write that is refused may have been done in part: the caller takes it back.

    :param is_shown: Whether what is written is shown in the answer, with what is computed.
    """

    supports_cursors = True

    def __init__(
        self, provider: ScimProvider, session: Session, directory: Directory, *, is_shown: bool = True
    ) -> None:
        self.provider = provider
        self.session = session
        self.directory = directory
        self.is_shown = is_shown
        # What is written, as it is stored now, and the groups of a user for the answer.
        self.held: HeldUser | None = None
        self.asked_groups: Asked | None = None
        self.held_group: DirectoryGroup | None = None

    def get(
        self,
        resource_type: ResourceType,
        resource_id: str,
        *,
        response_parameters: ResponseParameters[Any] | None = None,
    ) -> Resource[Any]:
        """Return a resource, without its members where the answer leaves them out."""
        document = get_document(
            self.session,
            self.directory,
            _name(resource_type),
            resource_id,
            computed=shows_computed(projection_of(self._model(resource_type), response_parameters)),
            lock=response_parameters is None,  # only a plain read has some; all else goes on to write
        )
        return self.model_of(document)

    def get_to_write(self, resource_type: ResourceType, resource_id: str) -> Resource[Any]:
        """Return a resource whose row is held until the end of the transaction, without what is computed.

        A group comes without its members, and ``store`` leaves them as they are
        unless the model says who joins and leaves.
        """
        name = _name(resource_type)
        if name == "User":
            return self.model_of(user_document(self.hold_anew(resource_id).row))
        resource = self.model_of(group_document(self.hold_group_anew(resource_id)))
        resource._member_change = MemberChange()  # type: ignore[attr-defined]
        return resource

    def hold_groups_of(self, user_id: str) -> None:
        """Hold the groups of a user who is about to be deleted: a change of a group holds the group first as well."""
        hold_groups_of(self.session, self.directory, user_id)

    def hold_anew(self, user_id: str) -> HeldUser:
        """Return a user to be written, held until the end of the transaction.

        :raises NotFoundException: When the directory has no such user.
        """
        with TranslatedErrors():
            ask_ahead(self.session, user_id, lambda: self._questions_of(user_id))
            asked = ask_directory_user(self.session, self.directory, user_id)
            if self.is_shown:
                self.asked_groups = ask_groups(self.session, self.directory, user_id)
            self.held = held_user(asked)
        return self.held

    def _questions_of(self, user_id: str) -> list[tuple[Prepared, dict[str, Any]]]:
        questions = questions_of(self.directory, user_id)
        if self.is_shown:
            questions.append(groups_question(self.directory, user_id))
        return questions

    def hold(self, user_id: str) -> HeldUser:
        """Return a user to be written, the one that was held a moment ago if it is the same."""
        held = self.held
        return held if held is not None and held.user.id == user_id else self.hold_anew(user_id)

    def hold_group_anew(self, group_id: str) -> DirectoryGroup:
        """Return a group to be written, held until the end of the transaction.

        :raises NotFoundException: When the directory has no such group.
        """
        with TranslatedErrors():
            self.held_group = hold_group(self.session, self.directory, group_id)
        return self.held_group

    def hold_group(self, group_id: str) -> DirectoryGroup:
        """Return a group to be written, the one that was held a moment ago if it is the same."""
        held = self.held_group
        return held if held is not None and held.id == group_id else self.hold_group_anew(group_id)

    def change_members(self, group: DirectoryGroup, members: MemberChange) -> None:
        """Have people join and leave a group that is held, of which nothing else changes."""
        with TranslatedErrors():
            change_group(self.session, self.directory, group, None, members)

    def write(self, held: HeldUser, state: UserResource) -> None:
        """Store the new state of a user; the lifecycle follows."""
        with TranslatedErrors():
            change_directory_user(self.session, self.directory, held, _user_resource(state))

    def search(
        self, resource_types: list[ResourceType], search_request: SearchRequest[Any], *, position: Any = None
    ) -> SearchPage:
        """Return one page of the resources that a filter finds."""
        search = self.search_of(resource_types, search_request, search_request.filter)
        if search_request.cursor is None:
            page = search.page_by_index(search_request.start_index or 1, search_request.count, computed=True)
        else:
            held = None if position is None else Position.of(position)
            page = search.page_by_cursor(held, search_request.count, computed=True)
        return SearchPage(
            page.total,
            [self.model_of(document) for document in page.documents],
            next=page.next and page.next.to_json(),
            previous=page.previous and page.previous.to_json(),
        )

    def search_of(
        self,
        resource_types: list[ResourceType],
        search_request: SearchRequest[Any],
        scim_filter: ScimFilter[Any] | None,
    ) -> Search:
        """Return a search of this directory."""
        models: Any = {_name(type_): self.provider.model_for(type_) for type_ in resource_types}
        return Search(self.session, self.directory, models, search_request, scim_filter)

    def create(self, resource_type: ResourceType, resource: Resource[Any]) -> Resource[Any]:
        """Store a new resource; the lifecycle follows."""
        return self.model_of(self.add(resource_type, resource))

    def add(self, resource_type: ResourceType, resource: Resource[Any] | UserResource) -> StoredDocument:
        """Store a new resource, and return it as it is stored; of a large group without members."""
        with TranslatedErrors():
            if _name(resource_type) == "User":
                return user_document(create_directory_user(self.session, self.directory, _user_resource(resource)))
            assert isinstance(resource, Resource)
            group = create_group(self.session, self.directory, _group_resource(resource), _members(resource))
            document = group_document(group)
            return with_few_members(self.session, self.directory, document) if self.is_shown else document

    def update(
        self, resource_type: ResourceType, resource: Resource[Any], *, expected_version: str | None = None
    ) -> Resource[Any]:
        """Store the whole new state of a resource; the lifecycle follows."""
        self.store(resource_type, resource, expected_version=expected_version)
        return self._written(resource_type, resource.id or "")

    def store(
        self, resource_type: ResourceType, resource: Resource[Any], *, expected_version: str | None = None
    ) -> None:
        """Store the whole new state of a resource, and read nothing back."""
        resource_id = resource.id or ""
        version = None if expected_version is None else version_of(expected_version)
        with TranslatedErrors():
            if _name(resource_type) == "User":
                user, held_user = _user_resource(resource), self.hold(resource_id)
                change_directory_user(self.session, self.directory, held_user, user, expected_version=version)
            else:
                state, members, held = _group_resource(resource), _members(resource), self.hold_group(resource_id)
                change_group(self.session, self.directory, held, state, members, expected_version=version)

    def written_document(
        self, resource_type: ResourceType, resource_id: str, projection: Projection | None = None
    ) -> StoredDocument:
        """Return what was written as it is stored now, which is not read again, for an answer that shows so much.

        Of a large group it is without members, unless the answer is to show something in particular.
        """
        is_user = _name(resource_type) == "User"
        document = (
            user_document(self.hold(resource_id).row) if is_user else group_document(self.hold_group(resource_id))
        )
        if not (self.is_shown and shows_computed(projection)):
            return document
        if is_user:
            return with_groups(document, self.asked_groups or ask_groups(self.session, self.directory, resource_id))
        with_theirs = with_few_members if projection is None else with_members
        return with_theirs(self.session, self.directory, document)

    def _written(self, resource_type: ResourceType, resource_id: str) -> Resource[Any]:
        """Return what was written as it is stored; of a large group no members."""
        return self.model_of(self.written_document(resource_type, resource_id))

    def delete(self, resource_type: ResourceType, resource_id: str, *, expected_version: str | None = None) -> None:
        """Delete a resource for the IdP; the lifecycle follows."""
        version = None if expected_version is None else version_of(expected_version)
        with TranslatedErrors():
            if _name(resource_type) == "User":
                held = self.hold(resource_id)
                delete_directory_user(self.session, self.directory, held, expected_version=version)
            else:
                held_group = self.hold_group(resource_id)
                delete_group(self.session, self.directory, held_group, expected_version=version)

    def _model(self, resource_type: ResourceType) -> Any:
        return self.provider.model_for(resource_type)

    def model_of(self, document: StoredDocument) -> Resource[Any]:
        """Return a stored document as a model of the protocol library, with unknown attributes kept."""
        model: Any = self.provider.model_for(document.resource_type)
        meta = {
            "resourceType": document.resource_type,
            "created": to_datetime(document.created_at),
            "lastModified": to_datetime(document.last_modified_at),
            "version": document.etag,
        }
        payload = {**load(document.text), "id": document.id, **document.computed, "meta": meta}
        resource: Resource[Any] = model.model_validate(payload, scim_policy=self.provider.policy)
        return resource


def user_document(row: DirectoryUser) -> StoredDocument:
    """Return a directory user as it is read, without groups."""
    return StoredDocument("User", row.user_id, row.document, row.version, row.created_at, row.last_modified_at, NOTHING)


def group_document(row: DirectoryGroup) -> StoredDocument:
    """Return a directory group as it is read, without members."""
    return StoredDocument("Group", row.id, row.document, row.version, row.created_at, row.last_modified_at, NOTHING)


class TranslatedErrors:
    """Turns the errors of the domain and of the database into those of the protocol (RFC 7644 §3.12).

    As a generator it would take four times the calls, and every write passes here twice.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is not None and isinstance(error, DBAPIError | DomainError):
            _raise_translated(error)


def _raise_translated(error: BaseException) -> None:
    """Raise the error of the protocol that an error stands for, if it stands for any."""
    if isinstance(error, IntegrityError):
        refuse_what_is_taken(conflict_of(error))
        return  # not this request's fault: a race that the caller tries once more
    if isinstance(error, Conflict):
        raise UniquenessException(detail=TAKEN.get(error.constraint or "", error.message)) from error
    if isinstance(error, NotFound):
        raise NotFoundException(detail=error.message) from error
    if isinstance(error, VersionMismatch):
        raise PreconditionFailedException(detail=error.message) from error
    if isinstance(error, InvalidInput):
        raise InvalidValueException(detail=" ".join(problem.message for problem in error.problems[:5])) from error


def refuse_what_is_taken(conflict: Conflict) -> None:
    """Raise the error of the protocol, where a constraint says that somebody else has a value.

    :raises UniquenessException: When it does.
    """
    if conflict.constraint in TAKEN:
        raise UniquenessException(detail=TAKEN[conflict.constraint]) from conflict


def _name(resource_type: ResourceType) -> str:
    assert resource_type.name is not None
    return resource_type.name


def _user_resource(resource: Resource[Any] | UserResource) -> UserResource:
    if isinstance(resource, UserResource):
        _checked("userName", resource.document)
        return resource
    document = _checked("userName", _document(resource, USER_LEFT_OUT))
    return UserResource.of(document, getattr(resource, "_sent_groups", None))


def _group_resource(resource: Resource[Any]) -> GroupResource:
    return GroupResource.of(_checked("displayName", _document(resource, GROUP_LEFT_OUT)))


def _checked(name: str, document: dict[str, Any]) -> dict[str, Any]:
    """Return a document whose name says something, and whose names fit into an index.

    :raises InvalidValueException: When the name is empty or blank, or something is too long.
    """
    if not document.get(name, "").strip():
        raise InvalidValueException(detail=f"{name} must not be empty.")
    declared = document.get("emails", []) if name == "userName" else []  # those of a group are whatever was sent
    emails = [("emails.value", email.get("value")) for email in declared]
    for label, value in [(name, document[name]), ("externalId", document.get("externalId")), *emails]:
        if value is not None and len(value) > INDEXED_LENGTH:
            raise InvalidValueException(detail=f"{label} is longer than {INDEXED_LENGTH} characters.")
    return document


def _document(resource: Resource[Any], left_out: tuple[str, ...]) -> dict[str, Any]:
    document: dict[str, Any] = resource.model_dump(scim_ctx=Context.DEFAULT)
    unwanted = {name.lower() for name in left_out}
    return {
        name: _without_secrets(value)
        for name, value in document.items()
        if name.lower() not in unwanted and not name.startswith("__")
    }


def _without_secrets(value: Any) -> Any:
    """Return a value without anything called a password, or like ``__proto__``, wherever an IdP may have put it."""
    if isinstance(value, dict):
        return {
            name: _without_secrets(item)
            for name, item in value.items()
            if name.lower() != "password" and not name.startswith("__")
        }
    return [_without_secrets(item) for item in value] if isinstance(value, list) else value


def _members(resource: Any) -> MemberChange:
    """Return who joins and leaves a group: what the model says of it, else the whole list that it holds."""
    if resource._member_change is not None:
        change: MemberChange = resource._member_change
        return change
    members = [member.model_dump(scim_ctx=Context.DEFAULT) for member in resource.members or []]
    return MemberChange(read_members(members), replaces=True)
