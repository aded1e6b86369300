-- What administrators have changed, each entry written with its change.
CREATE TABLE audit_entry (
    -- In the order of the writes, whatever the clock said.
    entry_id    INTEGER NOT NULL PRIMARY KEY,
    moment_ms   INTEGER NOT NULL,
    -- Such as account.grant.
    action      TEXT    NOT NULL,
    -- What it was done to: an account's id, a key's, a model's name.
    target      TEXT    NOT NULL,
    -- Whose that is; NULL for what is no account's.
    account_id  TEXT,
    -- The administrator's account, and its address as it was then.
    by_account  TEXT    NOT NULL,
    by_email    TEXT,
    -- How, as a JSON object.
    details     TEXT    NOT NULL
);

CREATE TRIGGER audit_entry_append_only_1 BEFORE UPDATE ON audit_entry
    BEGIN SELECT RAISE(ABORT, 'entries of the audit trail are never changed'); END;
CREATE TRIGGER audit_entry_append_only_2 BEFORE DELETE ON audit_entry
    BEGIN SELECT RAISE(ABORT, 'entries of the audit trail are never deleted'); END;
