-- Which calls a request took: a JSON array of [provider, model, outcome, milliseconds].
ALTER TABLE charge ADD COLUMN tries TEXT NOT NULL DEFAULT '';
