-- What administrators list, the newest first.
CREATE INDEX account_created ON account (created_ms, account_id);
CREATE INDEX voucher_created ON voucher (created_ms, voucher_id);
