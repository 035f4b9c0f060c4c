"""How known applications write their user lists: headings, statuses, rows that are nobody's account, and footers.

A list is known by its headings. Where each fact is from stands beside it; what is assumed is in docs/unconfirmed.md.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownList:
    """The user list of one application; headings are without case, spaces and punctuation (`squeezed`).

    `marks`: a list with all headings of one of these sets is this application's. `columns`: the headings of each of our
    fields, the best first; of `active` and `inactive` all count, one that says yes is enough. `handle` is a name that
    means something in the application only: people are looked for by it where nothing else names them. `statuses`: what
    its words mean (None: neither). `nobody`: by field, the words of rows that are nobody's account. `inside`: members
    of an object in JSON whose own members are the entry's. `footers`: the lines that a report ends with.
    """

    name: str
    marks: tuple[frozenset[str], ...]
    columns: Mapping[str, tuple[str, ...]]
    statuses: Mapping[str, bool | None] = field(default_factory=dict[str, "bool | None"])
    nobody: Mapping[str, Collection[str]] = field(default_factory=dict[str, Collection[str]])
    inside: frozenset[str] = frozenset()
    footers: tuple[re.Pattern[str], ...] = ()


def _marks(*sets: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(words.split()) for words in sets)


def _columns(**headings: str) -> Mapping[str, tuple[str, ...]]:
    return {name: tuple(words.split()) for name, words in headings.items()}


APPLICATIONS: tuple[KnownList, ...] = (
    # Headings: the download of users in the Admin console; support.google.com/a/answer/40057 (the same file goes up).
    # Suspended and archived users cannot sign in: support.google.com/a/answer/33312 and 9048836.
    KnownList(
        name="Google Workspace",
        marks=_marks("emailaddressrequired"),
        columns=_columns(
            email="emailaddressrequired",
            external_id="employeeid",
            first_name="firstnamerequired",
            last_name="lastnamerequired",
            title="employeetitle",
            department="department",
            manager="manageremail",
            active="statusreadonly",
        ),
        statuses={"active": True, "suspended": False, "archived": False},
    ),
    # Membership report of an enterprise, headings "GitHub com saml name" …: docs.github.com, "Exporting membership
    # information for your enterprise" and "Troubleshooting license usage". The members github_com_login … of JSON: REST
    # API, "List enterprise consumed licenses". Who is on a list is active: there is no status.
    KnownList(
        name="GitHub",
        marks=_marks("githubcomlogin", "login samlnameid", "login tfaenabled"),
        columns=_columns(
            email="samlnameid githubcomsamlname githubcomsamlnameid githubcomverifieddomainemails "
            "enterpriseserverprimaryemails enterpriseserveremails",
            username="samlnameid githubcomsamlname githubcomsamlnameid",
            handle="login githubcomlogin",
            name="name githubcomname",
            roles="role githubcomenterpriseroles",
        ),
    ),
    # Headings: username,email,status,billing-active,has-2fa,has-sso,userid,fullname,displayname,expiration-timestamp,
    # as many programs in public repositories read the member list that a workspace exports.
    KnownList(
        name="Slack",
        marks=_marks("username billingactive"),
        columns=_columns(email="email", handle="username", name="fullname displayname", active="status"),
        statuses={
            **dict.fromkeys(("primary owner", "owner", "admin", "member"), True),
            **dict.fromkeys(("guest", "restricted", "multi-channel guest", "single-channel guest"), True),
            "deactivated": False,
        },
        nobody={"active": ("bot",)},
    ),
    # Report export: the footer is what many programs in public repositories cut off, and a report's columns are chosen
    # freely. Fields of a data export: "User", Object Reference for the Salesforce Platform (IsActive, ProfileId,
    # FederationIdentifier: the name that single sign-on sends).
    KnownList(
        name="Salesforce",
        marks=_marks(
            "username profileid", "username federationidentifier", "username federationid", "username profile"
        ),
        columns=_columns(
            email="email",
            username="federationidentifier federationid samlfederationid username",
            external_id="employeenumber",
            name="name fullname",
            first_name="firstname",
            last_name="lastname",
            title="title",
            department="department",
            manager="manager managername",
            roles="profile profilename",
            active="active isactive",
        ),
        footers=(
            re.compile(r"Grand (?:Total|Summary).*", re.IGNORECASE),
            re.compile(r"Copyright (?:\(c\)|©) \d{4}-\d{4} salesforce(?:\.com)?, inc\..*", re.IGNORECASE),
            re.compile(r"Confidential Information - Do Not Distribute", re.IGNORECASE),
            re.compile(r"Generated By:.*", re.IGNORECASE),
        ),
    ),
    # support.atlassian.com, "Export users from a site" (active, suspended and deactivated ones); headings as programs
    # in public repositories read them: User id, User name (the name of a person), email, User status, Org role …
    KnownList(
        name="Atlassian",
        marks=_marks("userid username email userstatus"),
        columns=_columns(email="email", name="username", roles="orgrole", active="userstatus", unused="userid"),
        statuses={"active": True, "suspended": False, "deactivated": False, "inactive": False},
    ),
    # learn.microsoft.com/entra/identity/users/users-bulk-download lists the columns; `state` is a part of the address.
    # The same names in JSON: "user resource type", Microsoft Graph.
    KnownList(
        name="Microsoft Entra ID",
        marks=_marks("userprincipalname accountenabled", "userprincipalname objectid"),
        columns=_columns(
            email="mail",
            username="userprincipalname",
            external_id="employeeid",
            name="displayname",
            first_name="givenname",
            last_name="surname",
            title="jobtitle",
            department="department",
            active="accountenabled",
            unused="objectid",
        ),
    ),
    # Report: help.okta.com, "Okta Password Health Report" (User is the name of a person). JSON: "Users" of the API,
    # where `profile` holds the attributes; its statuses: developer.okta.com, "User status".
    KnownList(
        name="Okta",
        marks=_marks(
            "login authenticationsource", "profile status statuschanged", "profilelogin", "userlogin userstatus"
        ),
        columns=_columns(
            email="email profileemail useremail login profilelogin userlogin",
            username="login profilelogin userlogin",
            external_id="employeenumber profileemployeenumber useremployeenumber",
            name="displayname profiledisplayname user",
            first_name="firstname profilefirstname userfirstname",
            last_name="lastname profilelastname userlastname",
            title="title profiletitle",
            department="department profiledepartment",
            active="status userstatus",
        ),
        statuses={
            **dict.fromkeys(("active", "password_expired", "password expired", "recovery"), True),
            **dict.fromkeys(("provisioned", "pending user action"), None),
            **dict.fromkeys(("staged", "locked_out", "locked out", "suspended", "deprovisioned", "deactivated"), False),
        },
        inside=frozenset({"profile"}),
    ),
    # docs.aws.amazon.com/IAM, "Generate credential reports for your AWS account": who has no password may have keys;
    # the first row is the account itself.
    KnownList(
        name="AWS IAM",
        marks=_marks("user arn passwordenabled"),
        columns=_columns(
            email="user",
            username="user",
            active="passwordenabled accesskey1active accesskey2active cert1active cert2active",
            unused="arn",
        ),
        statuses={"not_supported": None, "n/a": None},
        nobody={"username": ("<root_account>",)},
    ),
    # sys_user: docs.servicenow.com, "Create a user" (User ID is the login; Active, Locked out). CSV has the names of
    # the fields as its headings, Excel their labels.
    KnownList(
        name="ServiceNow",
        marks=_marks("username lockedout", "userid lockedout", "sysid username active"),
        columns=_columns(
            email="email",
            username="username userid",
            external_id="employeenumber",
            name="name",
            first_name="firstname",
            last_name="lastname",
            title="title",
            department="department",
            manager="manager",
            roles="roles",
            active="active",
            inactive="lockedout",
            unused="sysid",
        ),
    ),
)

FOOTERS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (application.name, pattern) for application in APPLICATIONS for pattern in application.footers
)


def application_of(headings: Collection[str]) -> KnownList | None:
    """Return the application whose list has these headings, without case, spaces and punctuation."""
    there = frozenset(headings)
    return next((one for one in APPLICATIONS if any(mark <= there for mark in one.marks)), None)
