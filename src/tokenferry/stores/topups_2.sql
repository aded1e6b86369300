-- A person can accept what was paid instead of what was ordered, close an order, and give up a
-- refund. The table is made anew, since its checks are others.
CREATE TABLE topup_order_2 (
    order_id       TEXT    NOT NULL PRIMARY KEY,
    account_id     TEXT    NOT NULL,
    provider       TEXT    NOT NULL,
    -- What was agreed on; it is never changed.
    currency       TEXT    NOT NULL,
    amount_minor   INTEGER NOT NULL CHECK (amount_minor > 0),
    credit_nanos   INTEGER NOT NULL CHECK (credit_nanos > 0),
    live           INTEGER NOT NULL CHECK (live IN (0, 1)),
    note           TEXT    NOT NULL,
    created_ms     INTEGER NOT NULL,
    expires_ms     INTEGER NOT NULL,
    -- What the provider said when it was asked last.
    status         TEXT    NOT NULL
                   CHECK (status IN ('open', 'waiting', 'paid', 'failed', 'expired', 'review',
                                     'closed')),
    detail         TEXT    NOT NULL,
    payment_ref    TEXT,
    secret         TEXT,
    refunded_minor INTEGER NOT NULL CHECK (refunded_minor >= 0),
    disputed_minor INTEGER NOT NULL CHECK (disputed_minor >= 0),
    -- The refund that the provider is being asked for; where it goes is kept no longer than that.
    pending_minor  INTEGER NOT NULL CHECK (pending_minor >= 0),
    refunds        INTEGER NOT NULL,
    refund_account TEXT    NOT NULL CHECK (refund_account = '' OR pending_minor > 0),
    -- What was taken back of the credit, and what of that had been spent.
    taken_nanos    INTEGER NOT NULL
                   CHECK (taken_nanos BETWEEN 0 AND COALESCE(accepted_nanos, credit_nanos)),
    short_nanos    INTEGER NOT NULL CHECK (short_nanos BETWEEN 0 AND taken_nanos),
    -- How many transfers were booked: each is named by the order and its number.
    moves          INTEGER NOT NULL,
    revision       INTEGER NOT NULL,
    -- When the provider is to be asked again; NULL for not by itself.
    next_look_ms   INTEGER,
    -- What was paid instead of what was ordered, and what a person gives for it.
    paid_currency  TEXT    NOT NULL,
    paid_minor     INTEGER NOT NULL CHECK (paid_minor >= 0),
    accepted_nanos INTEGER CHECK (accepted_nanos > 0),
    pending_ms     INTEGER NOT NULL,
    -- Refunds that are not waited for any more; what of them was made all the same.
    given_up_minor INTEGER NOT NULL CHECK (given_up_minor >= 0),
    given_up_ms    INTEGER NOT NULL,
    late_minor     INTEGER NOT NULL CHECK (late_minor >= 0)
) WITHOUT ROWID;

INSERT INTO topup_order_2 (
    order_id, account_id, provider, currency, amount_minor, credit_nanos, live, note,
    created_ms, expires_ms, status, detail, payment_ref, secret, refunded_minor,
    disputed_minor, pending_minor, refunds, refund_account, taken_nanos, short_nanos,
    moves, revision, next_look_ms,
    paid_currency, paid_minor, pending_ms, given_up_minor, given_up_ms, late_minor
) SELECT
    order_id, account_id, provider, currency, amount_minor, credit_nanos, live, note,
    created_ms, expires_ms, status, detail, payment_ref, secret, refunded_minor,
    disputed_minor, pending_minor, refunds, refund_account, taken_nanos, short_nanos,
    moves, revision, next_look_ms,
    '', 0, CAST(strftime('%s', 'now') AS INTEGER) * 1000, 0, 0, 0
FROM topup_order;

DROP TABLE topup_order;
ALTER TABLE topup_order_2 RENAME TO topup_order;

CREATE INDEX topup_order_due ON topup_order (next_look_ms) WHERE next_look_ms IS NOT NULL;
CREATE INDEX topup_order_account ON topup_order (account_id, created_ms);
CREATE INDEX topup_order_created ON topup_order (created_ms);

CREATE TRIGGER topup_order_agreed BEFORE UPDATE ON topup_order
    WHEN new.account_id <> old.account_id OR new.provider <> old.provider
    OR new.currency <> old.currency OR new.amount_minor <> old.amount_minor
    OR new.credit_nanos <> old.credit_nanos
    OR (old.accepted_nanos IS NOT NULL AND new.accepted_nanos IS NOT old.accepted_nanos)
    BEGIN SELECT RAISE(ABORT, 'what was agreed on is never changed'); END;
