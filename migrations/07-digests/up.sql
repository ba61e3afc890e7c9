-- CRC-32 of what a row holds: one that does not fit was damaged on the disk. They are computed, and
-- the other columns read out of the texts again, right after this by `derived_columns::derive_all`.
-- The column may come after the text: it is only read together with it.
ALTER TABLE runs ADD COLUMN digest INTEGER NOT NULL DEFAULT 0;
ALTER TABLE trials ADD COLUMN digest INTEGER NOT NULL DEFAULT 0;
ALTER TABLE status_event ADD COLUMN digest INTEGER NOT NULL DEFAULT 0;
ALTER TABLE identity ADD COLUMN digest INTEGER NOT NULL DEFAULT 0;
ALTER TABLE note ADD COLUMN digest INTEGER NOT NULL DEFAULT 0;
