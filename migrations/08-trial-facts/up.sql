-- What figures are made of, a few bytes for each trial, as docks_statistics encodes it. Sweeps fill it in rows that are
-- there already; until then, and where it has another format, figures are made from the text.
ALTER TABLE trials ADD COLUMN facts BLOB;

-- The order of a run's trials now comes with their facts, so that figures read this index and no row of the table,
-- whose texts are ten times as large. `gone_ms` is in it because they leave out tombstones.
DROP INDEX trials_by_position;
CREATE INDEX trials_by_position ON trials (list, position, gone_ms, facts);
