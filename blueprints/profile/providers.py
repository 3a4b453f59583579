"""The identity providers that the wizard guides through, each in its own words.

``**bold**`` is what stands on a button or in a menu of that provider, and
``code`` in backquotes is to be typed; the filter ``marked`` shows both.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Provider:
    """What an admin clicks in one identity provider, and what it can and cannot do.

    ``needed`` is what makes the setup impossible where it is missing, so it is said before anything else.
    """

    slug: str
    name: str
    about: str
    base_url_field: str
    base_url_steps: tuple[str, ...]
    bearer_field: str
    bearer_note: str
    connect_steps: tuple[str, ...]
    patience: str
    mapping_steps: tuple[str, ...]
    groups: str
    assign: str
    unassign: str
    reassign: str
    name_missing: str
    limits: tuple[str, ...]
    needed: str = ""
    variant: "Variant | None" = None


@dataclass(frozen=True)
class Variant:
    """What an admin clicks instead, where the pages of the provider look another way for some of its apps."""

    summary: str
    base_url_steps: tuple[str, ...]
    connect_steps: tuple[str, ...]
    note: str


OKTA = Provider(
    slug="okta",
    name="Okta",
    about="Changes arrive within seconds. Groups by Push Groups.",
    base_url_field="Base URL",
    base_url_steps=(
        "In the Okta admin console, open **Applications** and the app with which this organization signs in.",
        "Open **Provisioning** → **Integration** → **Configure API Integration** and tick **Enable API integration**.",
        "**Base URL**: paste the address above. Okta appends `/Users` and `/Groups` itself.",
    ),
    bearer_field="API Token",
    bearer_note="Okta asks for the token alone, without the word “Bearer”.",
    connect_steps=(
        "**API Token**: paste the token.",
        "Click **Test API Credentials**. A green check means that the token and the URL are right.",
        "Click **Save**.",
        "In **Provisioning** → **To App** → **Edit**, enable **Create Users**, **Update User Attributes** and "
        "**Deactivate Users**, and save.",
    ),
    patience="Okta calls within a second of the click on Test API Credentials.",
    mapping_steps=(
        "Okta sends user name, first and last name, primary e-mail, Okta's user id and the status by itself. "
        "You need to do nothing for these.",
        "More attributes: **Provisioning** → **To App** → **Go to Profile Editor** → **Add Attribute**, then map it.",
    ),
    groups="Choose the groups in **Push Groups** of the app. Okta sends each group with its members.",
    assign="In **Assignments** → **Assign** → **Assign to People**, pick a test person and save.",
    unassign="In **Assignments**, remove the same person with **×**.",
    reassign="Assign the same person again.",
    name_missing="Fill in first and last name in Okta's profile editor, or edit the app's profile mapping.",
    limits=(
        "Okta never deletes people. Who is unassigned is deactivated, and comes back with the same membership.",
        "Suspending a person in Okta sends nothing. Unassign or deactivate them.",
        "Okta has no bulk operation: a first back-fill comes person by person, some 100 in a second at most.",
        "Unlinking a pushed group may leave it here. Choose “Delete the group in the target app” to remove it.",
    ),
    variant=Variant(
        summary="No **Configure API Integration** there? It is an app of your own",
        base_url_steps=(
            "In **General** → **App Settings** → **Edit**, set **Provisioning** to **SCIM** and save.",
            "Open **Provisioning** → **Integration** → **Edit**.",
            "**SCIM connector base URL**: paste the address above.",
            "**Unique identifier field for users**: type `userName`.",
            "**Supported provisioning actions**: tick **Push New Users**, **Push Profile Updates**, **Push Groups**.",
        ),
        connect_steps=(
            "**Authentication Mode**: choose **HTTP Header**, and paste the token beside **Bearer**.",
            "Click **Test Connector Configuration**, and **Save**.",
            "In **Provisioning** → **To App** → **Edit**, enable **Create Users**, **Update User Attributes** and "
            "**Deactivate Users**, and save.",
        ),
        note="Okta offers this to SAML and SWA apps. An OIDC app of your own cannot provision: make a SWA app beside "
        "it, hide its icon from people, assign the same people to it, and set that one up here.",
    ),
)

ENTRA = Provider(
    slug="entra",
    name="Microsoft Entra ID",
    about="Changes arrive about every 40 minutes. Groups that are assigned.",
    base_url_field="Tenant URL",
    base_url_steps=(
        "In the Entra admin center, open **Enterprise applications** and the app with which this organization signs "
        "in, or add one with **New application** → **Create your own application**.",
        "Open **Provisioning** and choose **Automatic** (or **New configuration** and bearer authentication).",
        "**Tenant URL**: paste the address above.",
    ),
    bearer_field="Secret token",
    bearer_note="Leave nothing empty: without a secret token Entra sends one of its own, which is not accepted here.",
    connect_steps=(
        "**Secret token**: paste the token.",
        "Click **Test Connection** and wait for the message at the top right. Then **Save** or **Create**.",
        "In **Users and groups**, assign the people and groups that belong here.",
        "Back in **Provisioning**, click **Start provisioning**.",
    ),
    patience="Test Connection calls at once. After that Entra ID works in a cycle of about 40 minutes.",
    mapping_steps=(
        "Entra ID sends user name, names, e-mail and the status with its default mappings.",
        "`externalId` is filled from **mailNickname** by default. In **Mappings** you may choose **objectId**, which "
        "never changes.",
        "Department, employee id and manager come with the default mappings too.",
    ),
    groups="Assign the groups to the app. Only direct members are sent, not those of nested groups.",
    assign="Use **Provision on demand** with one assigned person. It does not wait for the cycle.",
    unassign="Remove the person from **Users and groups**, then **Provision on demand** with the same person again.",
    reassign="Assign the person again, and **Provision on demand** once more.",
    name_missing="Fill in first and last name of the person in Entra ID; the default mapping sends both.",
    limits=(
        "Apart from provisioning on demand, a change takes up to 40 minutes.",
        "When most calls fail for some time, Entra ID puts the app in quarantine and tries less and less often.",
        "A person who is deleted in Entra ID is deactivated here at once, and removed 30 days later.",
        "After a person is restored, Entra ID does not send their groups again; they are kept here meanwhile.",
    ),
)

GOOGLE = Provider(
    slug="google",
    name="Google Workspace",
    about="People only, from apps of Google's catalogue. No groups.",
    base_url_field="Endpoint URL",
    base_url_steps=(
        "In the Google Admin console, open **Apps** → **Web and mobile apps** and the app of this organization.",
        "Open **Autoprovisioning** → **Configure autoprovisioning**.",
        "Google asks for the access token first, then for the **Endpoint URL**: paste the address above.",
    ),
    bearer_field="Access token",
    bearer_note="Paste the token alone.",
    connect_steps=(
        "**Access token**: paste the token, then **Continue**.",
        "**Endpoint URL**: paste the base URL, then **Continue**.",
        "Check the attribute mapping and **Continue**. Limit who is provisioned by a group, if you like.",
        "Choose how long after a suspension or removal Google deprovisions, and click **Finish**.",
        "Switch **Autoprovisioning** on.",
    ),
    patience="Google tests nothing when you save. Its first call comes with the first person, some minutes later.",
    mapping_steps=(
        "Google fills its list of attributes from what this server says it knows. User name, names and e-mail are "
        "mapped by default.",
    ),
    groups="Google pushes no groups. Give roles by an attribute of the person, or by hand in Members.",
    assign="Switch the app on for an organizational unit or group with one test person in it.",
    unassign="Switch the app off for that unit, or take the person out of the group.",
    reassign="Put the person back.",
    name_missing="Check **Attribute mapping** in Autoprovisioning: first name belongs to `name.givenName`.",
    limits=(
        "Groups are not pushed, so roles cannot follow them.",
        "Suspending and removing are separate settings. A removal may arrive up to 21 days later.",
    ),
    needed="Only apps of Google's catalogue have **Autoprovisioning**. A custom SAML app has none, and no setting adds "
    "it: ask your vendor for the app of the catalogue. Without one, Google cannot keep people up to date here.",
)

RIPPLING = Provider(
    slug="rippling",
    name="Rippling",
    about="People and groups, through a custom app.",
    base_url_field="SCIM base URL",
    base_url_steps=(
        "In Rippling, open **IT Management** → **Custom App** and create or open the app of this organization.",
        "Open **User Management via SCIM** and choose version **2.0**.",
        "**SCIM base URL**: paste the address above.",
    ),
    bearer_field="API token",
    bearer_note="Choose the authentication by bearer token and paste the token alone.",
    connect_steps=(
        "**API token**: paste the token.",
        "Tick what the server can do: **groups**, **pagination**, **delete groups** and **PATCH** for groups. It can "
        "do all of them.",
        "Tick the supported attributes: `externalId`, `emails.primary`, `name.givenName`, `name.familyName`.",
        "Save, and let Rippling verify the connection.",
    ),
    patience="Rippling calls when it verifies the connection, and again when access rules change.",
    mapping_steps=("Which attributes are sent is ticked in the app. Leave first and last name ticked.",),
    groups="Tick **groups** in the app. Rippling sends the groups that you choose there.",
    assign="Give one test person access to the app.",
    unassign="Take the access away.",
    reassign="Give it again.",
    name_missing="Tick `name.givenName` among the attributes that the app supports.",
    limits=(
        "Whether changes come by PUT or PATCH follows from what is ticked. Both work here.",
        "Rippling may wait for the start date of a new employee before it creates them.",
    ),
)

ONELOGIN = Provider(
    slug="onelogin",
    name="OneLogin",
    about="People by a template that you can see. Each call can wait for approval.",
    base_url_field="SCIM Base URL",
    base_url_steps=(
        "In OneLogin's administration, open **Applications** and the app of this organization, or add "
        "**SCIM Provisioner with SAML (SCIM v2 Enterprise)**.",
        "Open **Configuration**. **SCIM Base URL**: paste the address above.",
    ),
    bearer_field="SCIM Bearer Token",
    bearer_note="Paste the token alone.",
    connect_steps=(
        "**SCIM Bearer Token**: paste the token.",
        "Leave the **SCIM JSON Template** as it is, or look that it sends `userName`, `name` and `emails`.",
        "Click **Enable** under **API Connection**.",
        "In **Provisioning**, tick **Enable provisioning**, and choose **Suspend** or **Delete** for removed people.",
        "Untick the approvals for create, delete and update, or each call waits until somebody approves it. **Save**.",
    ),
    patience="Enable calls at once: OneLogin looks for a name that nobody has.",
    mapping_steps=("What is sent stands in the **SCIM JSON Template** of **Configuration**.",),
    groups="In **Rules** of the app, set groups by OneLogin's roles.",
    assign="In **Users**, open a test person, **Applications**, and add the app.",
    unassign="Remove the app from the same person.",
    reassign="Add it again.",
    name_missing="Look that the template sends `name.givenName`, and that the person has a first name.",
    limits=(
        "With approvals on, nothing is sent until somebody approves it under Users → Provisioning.",
        "“Do nothing” on removal leaves people active here. Choose Suspend or Delete.",
    ),
)

JUMPCLOUD = Provider(
    slug="jumpcloud",
    name="JumpCloud",
    about="People and groups. Creates a test person while it connects.",
    base_url_field="Base URL",
    base_url_steps=(
        "In the JumpCloud admin portal, open **SSO Applications** and the app of this organization.",
        "Open **Identity Management** and choose **SCIM API**, version **2.0**.",
        "**Base URL**: paste the address above.",
    ),
    bearer_field="Token Key",
    bearer_note="Paste the token alone.",
    connect_steps=(
        "**Token Key**: paste the token.",
        "**Test User Email**: an address that nobody here has. JumpCloud creates this person, and deletes them again.",
        "Switch group management on, if you want groups.",
        "Click **Test Connection**, then **Activate** and **Save**.",
    ),
    patience="Test Connection calls at once: it creates a person, changes them and deletes them again.",
    mapping_steps=("JumpCloud sends user name, names, e-mail and status. It sends no extensions such as department.",),
    groups="Switch group management on. The groups bound to the app are sent.",
    assign="In **User Groups** of the app, bind a group with one test person in it.",
    unassign="Take the person out of the group.",
    reassign="Put the person back.",
    name_missing="Fill in the first name of the person in JumpCloud.",
    limits=(
        "The test person of the connection appears in Activity, created and deleted. That is no mistake.",
        "Department, employee number and manager are not sent.",
    ),
)

OTHER = Provider(
    slug="other",
    name="Another provider",
    about="Anything that speaks SCIM 2.0: PingOne, SailPoint, CyberArk, your own.",
    base_url_field="SCIM 2.0 base URL",
    base_url_steps=(
        "In your provider, open the app of this organization and look for “Provisioning” or “SCIM”.",
        "Choose SCIM **2.0**, where there is a choice.",
        "Paste the address above as the base URL. Leave out `/Users`; the provider appends it.",
    ),
    bearer_field="Bearer token",
    bearer_note="Choose “bearer token” or “HTTP header” for the authentication: `Authorization: Bearer <token>`.",
    connect_steps=(
        "Paste the token as the bearer token.",
        "Unique user attribute: `userName`. Media type: `application/scim+json`.",
        "Allow creating, updating and deactivating people. PUT and PATCH both work.",
        "Test the connection, and save.",
    ),
    patience="Most providers call at once when the connection is tested.",
    mapping_steps=("Send `userName`, `name.givenName`, `name.familyName`, `emails`, `externalId` and `active`.",),
    groups="If the provider pushes groups, let it send `displayName` and `members`.",
    assign="Assign one test person to the app.",
    unassign="Take the assignment away.",
    reassign="Assign the same person again.",
    name_missing="Map the first name to `name.givenName` in the provider.",
    limits=(
        "SCIM 1.1 is not supported.",
        "Deactivating and deleting people both work; after either they come back with the same membership.",
    ),
)

PROVIDERS = {provider.slug: provider for provider in (OKTA, ENTRA, GOOGLE, RIPPLING, ONELOGIN, JUMPCLOUD, OTHER)}
