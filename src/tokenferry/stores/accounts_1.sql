-- Who may use the gateway. The operator's own account is always there: it has no password, and
-- every key that was made without an account is its.
CREATE TABLE account (
    account_id       TEXT    NOT NULL PRIMARY KEY,
    -- Trimmed, NFC, in lower case; NULL for the operator.
    email            TEXT    UNIQUE,
    -- Argon2id, in its own text form; NULL until one is set.
    password_hash    TEXT,
    role             TEXT    NOT NULL CHECK (role IN ('admin', 'member')),
    state            TEXT    NOT NULL CHECK (state IN ('unverified', 'active', 'suspended')),
    suspended_reason TEXT,
    -- What it was before it was suspended, and becomes again.
    state_before     TEXT    CHECK (state_before IN ('unverified', 'active')),
    -- The language of its mails: 'en' or 'ko'.
    language         TEXT    NOT NULL DEFAULT 'en',
    created_ms       INTEGER NOT NULL
) WITHOUT ROWID;

INSERT INTO account (account_id, email, role, state, created_ms)
    VALUES ('operator', NULL, 'admin', 'active', 0);

-- What a key may do. A key's `version` grows with its account's state as well.
ALTER TABLE api_key ADD COLUMN account_id TEXT NOT NULL DEFAULT 'operator';
-- Nano-dollars it may spend in a calendar month, UTC; NULL for no limit.
ALTER TABLE api_key ADD COLUMN budget_nanos INTEGER CHECK (budget_nanos >= 0);
-- A JSON list of the model names that it may ask for; NULL for all.
ALTER TABLE api_key ADD COLUMN models TEXT;
ALTER TABLE api_key ADD COLUMN expires_at_ms INTEGER;

CREATE INDEX api_key_account ON api_key (account_id, created_at_ms);
CREATE INDEX api_key_expiry ON api_key (expires_at_ms) WHERE expires_at_ms IS NOT NULL;

-- Logins. The token itself is kept nowhere.
CREATE TABLE login_session (
    token_hash BLOB    NOT NULL PRIMARY KEY CHECK (length(token_hash) = 32),
    account_id TEXT    NOT NULL,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX login_session_account ON login_session (account_id);
CREATE INDEX login_session_expiry ON login_session (expires_ms);

-- Links in mails: each is good once.
CREATE TABLE mail_token (
    token_hash BLOB    NOT NULL PRIMARY KEY CHECK (length(token_hash) = 32),
    account_id TEXT    NOT NULL,
    purpose    TEXT    NOT NULL CHECK (purpose IN ('verify', 'reset')),
    expires_ms INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX mail_token_account ON mail_token (account_id, purpose);
