CREATE TABLE environments_ (id TEXT PRIMARY KEY, name, type, region) WITHOUT ROWID;
CREATE TABLE populations_ (id TEXT PRIMARY KEY, environment_id, name, is_default) WITHOUT ROWID;
CREATE TABLE users_ (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE, environment_id, population_id, username, external_id, name, first_name, last_name, email, phone, mobile_phone, title, department, manager, type, status, status_reasons, enabled, account_status, lifecycle_status, is_email_verified, is_2fa_enabled, locale, timezone, preferred_language, street, city, region, postal_code, country, avatar_url, last_login_at, locked_at, created_at, updated_at, unreadable,
    manager_id TEXT,
    removed_at TEXT,
    removed_evidence TEXT,
    custom_attributes, more, all_attributes, remote_data
);
CREATE INDEX users_by_username_ ON users_ (username COLLATE NOCASE);
CREATE INDEX users_by_email_ ON users_ (email COLLATE NOCASE);
CREATE INDEX users_by_external_id_ ON users_ (external_id COLLATE NOCASE) WHERE external_id IS NOT NULL;
CREATE INDEX users_by_first_name_ ON users_ (first_name COLLATE NOCASE);
CREATE INDEX users_by_last_name_ ON users_ (last_name COLLATE NOCASE);
CREATE INDEX users_by_population_ ON users_ (population_id, removed_at, environment_id);
CREATE INDEX users_by_manager_ ON users_ (manager_id) WHERE manager_id IS NOT NULL;
CREATE INDEX users_by_reference_ ON users_ (trim(manager) COLLATE NOCASE) WHERE manager IS NOT NULL;
CREATE INDEX users_listed_ ON users_ (environment_id, removed_at, id, population_id, status, enabled);
CREATE INDEX users_counted_ ON users_ (removed_at, department, status, population_id, type, country, city, enabled);
CREATE INDEX users_not_active_ ON users_ (environment_id, id, status_reasons, enabled, population_id, removed_at, locked_at, created_at,
            updated_at) WHERE status_reasons <> '';
CREATE INDEX users_unreadable_ ON users_ (environment_id, id) WHERE unreadable IS NOT NULL AND removed_at IS NULL;
CREATE TABLE groups_ (id TEXT PRIMARY KEY, environment_id, name, description, external_id, group_type, population_id, user_filter, member_count, total_member_count, created_at, updated_at) WITHOUT ROWID;
CREATE TABLE nestings_ (group_id TEXT, parent_id TEXT, PRIMARY KEY (group_id, parent_id)) WITHOUT ROWID;
CREATE INDEX nestings_by_parent_ ON nestings_ (parent_id);
CREATE TABLE memberships_ (
    user_id TEXT, group_id TEXT, type TEXT, PRIMARY KEY (group_id, user_id)
) WITHOUT ROWID;
CREATE INDEX memberships_by_user_ ON memberships_ (user_id);
CREATE TABLE short_groups_ (group_id TEXT PRIMARY KEY, counted, found, total, why, tries, in_copy) WITHOUT ROWID;
CREATE TABLE role_assignments_ (user_id TEXT, role_id, role_name, scope_type, scope_id, scope_name);
CREATE INDEX role_assignments_by_user_ ON role_assignments_ (user_id);
CREATE TABLE changes_ (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at, seen_at, kind, user_id, username, email, environment_id, group_id, group_name,
    before, after, evidence, actor
);
CREATE INDEX changes_by_time_ ON changes_ (at);
CREATE INDEX changes_by_user_ ON changes_ (user_id, kind, at);
CREATE TABLE sync_runs_ (id INTEGER PRIMARY KEY AUTOINCREMENT, mode, started_at, ended_at, outcome, reason, counts);
CREATE TABLE facts_ (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE VIRTUAL TABLE people USING fts5(
    id UNINDEXED, username, name, email, title, department, content = searched_, content_rowid = number,
    tokenize = "unicode61 remove_diacritics 2");
CREATE VIEW searched_ AS SELECT number, id, username, name, email, title, department FROM users_ WHERE removed_at IS NULL;
CREATE VIEW users AS SELECT
    u.id, u.username, u.name, u.first_name, u.last_name, u.email, u.phone, u.mobile_phone, u.title, u.department, u.manager,
    u.manager_id, u.type, u.status, u.status_reasons, u.enabled, u.account_status, u.lifecycle_status, u.is_email_verified,
    u.is_2fa_enabled, u.locale, u.timezone, u.preferred_language, u.city, u.country, u.external_id, u.last_login_at,
    u.locked_at, u.created_at, u.updated_at, u.population_id,
    (SELECT p.name FROM populations_ p WHERE p.id = u.population_id) AS population, u.environment_id,
    (SELECT e.name FROM environments_ e WHERE e.id = u.environment_id) AS environment, u.custom_attributes FROM users_ u WHERE u.removed_at IS NULL;
CREATE VIEW removed_users AS SELECT
    u.id, u.username, u.name, u.first_name, u.last_name, u.email, u.phone, u.mobile_phone, u.title, u.department, u.manager,
    u.manager_id, u.type, u.status, u.status_reasons, u.enabled, u.account_status, u.lifecycle_status, u.is_email_verified,
    u.is_2fa_enabled, u.locale, u.timezone, u.preferred_language, u.city, u.country, u.external_id, u.last_login_at,
    u.locked_at, u.created_at, u.updated_at, u.population_id,
    (SELECT p.name FROM populations_ p WHERE p.id = u.population_id) AS population, u.environment_id,
    (SELECT e.name FROM environments_ e WHERE e.id = u.environment_id) AS environment, u.custom_attributes, u.removed_at FROM users_ u WHERE u.removed_at IS NOT NULL AND u.status_reasons = 'removed';
CREATE VIEW groups AS SELECT
    g.id, g.name, g.description, g.group_type, g.user_filter,
    (SELECT count(*) FROM memberships_ m WHERE m.group_id = g.id)
        + coalesce((SELECT max(0, coalesce(
            s.total - (SELECT count(*) FROM memberships_ m WHERE m.group_id = g.id), s.counted - s.in_copy, 0
        )) FROM short_groups_ s WHERE s.group_id = g.id), 0) AS member_count,
    (SELECT count(*) FROM memberships_ m WHERE m.group_id = g.id) AS member_count_in_copy,
    g.population_id, p.name AS population, g.environment_id, e.name AS environment, g.created_at, g.updated_at, g.external_id
    FROM groups_ g LEFT JOIN populations_ p ON p.id = g.population_id LEFT JOIN environments_ e ON e.id = g.environment_id;
CREATE VIEW memberships AS SELECT
    m.user_id, (SELECT u.username FROM users_ u WHERE u.id = m.user_id) AS username, m.group_id, g.name AS group_name, m.type
    FROM memberships_ m LEFT JOIN groups_ g ON g.id = m.group_id;
CREATE VIEW populations AS SELECT
    p.id, p.name, p.is_default,
    (SELECT count(*) FROM users_ u WHERE u.population_id = p.id AND u.removed_at IS NULL) AS user_count,
    p.environment_id, e.name AS environment
    FROM populations_ p LEFT JOIN environments_ e ON e.id = p.environment_id;
CREATE VIEW environments AS SELECT id, name, type, region FROM environments_;
CREATE VIEW role_assignments AS SELECT
    r.user_id, u.username, r.role_id, r.role_name AS role, r.scope_type, r.scope_id, r.scope_name AS scope
    FROM role_assignments_ r LEFT JOIN users_ u ON u.id = r.user_id;
CREATE VIEW changes AS SELECT
    id, at, kind, user_id, username, email, group_id, group_name, before, after, evidence, actor, environment_id
    FROM changes_;
