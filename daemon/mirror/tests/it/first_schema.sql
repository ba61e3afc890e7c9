-- "docks" in ASCII, so that `file` and we can tell the file from others.
PRAGMA application_id = 0x646f636b;

CREATE TABLE identity (
  remote     TEXT NOT NULL,
  created_ms INTEGER NOT NULL
);

CREATE TABLE note (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;

-- The text comes last: SQLite then reads the columns before it without its overflow pages.
CREATE TABLE runs (
  seq          INTEGER PRIMARY KEY,
  kind         TEXT NOT NULL,
  id           TEXT NOT NULL,
  name         TEXT NOT NULL,
  status       TEXT NOT NULL,
  created_ms   INTEGER,
  started_ms   INTEGER,
  updated_ms   INTEGER,
  completed_ms INTEGER,
  -- Whether it may still change by itself.
  active       INTEGER NOT NULL,
  -- Whether its trials must be fetched: never mirrored, or it ended since they were.
  trials_due   INTEGER NOT NULL DEFAULT 0,
  -- When its text last changed.
  changed_ms   INTEGER NOT NULL,
  -- When it was proved to be gone.
  gone_ms      INTEGER,
  -- When an answer first took back that it ended.
  doubt_ms     INTEGER,
  body         TEXT NOT NULL
);

CREATE UNIQUE INDEX runs_by_id ON runs (kind, id);
CREATE INDEX runs_by_created ON runs (kind, created_ms, id) WHERE gone_ms IS NULL;
CREATE INDEX runs_by_status ON runs (kind, status, created_ms, id) WHERE gone_ms IS NULL;
CREATE INDEX runs_by_name ON runs (kind, name) WHERE gone_ms IS NULL AND name <> '';
CREATE INDEX runs_active ON runs (kind, created_ms, id) WHERE active = 1 AND gone_ms IS NULL;
CREATE INDEX runs_trials_due ON runs (created_ms, id) WHERE trials_due = 1 AND gone_ms IS NULL;
CREATE INDEX runs_gone ON runs (gone_ms) WHERE gone_ms IS NOT NULL;
CREATE INDEX runs_doubted ON runs (kind) WHERE doubt_ms IS NOT NULL;

-- Rows that were confirmed by one answer share an observation, so that the next equal answer
-- writes one row here and not one per run.
CREATE TABLE observation (
  seq   INTEGER PRIMARY KEY AUTOINCREMENT,
  kind  TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  rows  INTEGER NOT NULL
);
CREATE INDEX observation_by_time ON observation (kind, at_ms);

CREATE TABLE run_seen (
  run         INTEGER PRIMARY KEY,
  observation INTEGER NOT NULL
);

-- `id` is empty for the list of the kind.
CREATE TABLE confirmation (
  kind        TEXT NOT NULL,
  id          TEXT NOT NULL,
  at_ms       INTEGER NOT NULL,
  validator   TEXT,
  whole       INTEGER NOT NULL,
  -- The rows of the answer that the validator stands for.
  observation INTEGER,
  PRIMARY KEY (kind, id)
) WITHOUT ROWID;

-- Rows stay at zero: they say which statuses were ever seen.
CREATE TABLE tally (
  kind   TEXT NOT NULL,
  status TEXT NOT NULL,
  rows   INTEGER NOT NULL,
  due    INTEGER NOT NULL,
  PRIMARY KEY (kind, status)
) WITHOUT ROWID;

-- Triggers, so that no statement can change a run and forget the count.
CREATE TRIGGER runs_counted_in AFTER INSERT ON runs WHEN NEW.gone_ms IS NULL
BEGIN
  INSERT INTO tally VALUES (NEW.kind, NEW.status, 1, NEW.trials_due)
    ON CONFLICT DO UPDATE SET rows = rows + 1, due = due + excluded.due;
END;

CREATE TRIGGER runs_counted_out AFTER DELETE ON runs WHEN OLD.gone_ms IS NULL
BEGIN
  UPDATE tally SET rows = rows - 1, due = due - OLD.trials_due
    WHERE kind = OLD.kind AND status = OLD.status;
END;

CREATE TRIGGER runs_recounted AFTER UPDATE OF status, gone_ms, trials_due ON runs
WHEN OLD.status IS NOT NEW.status
  OR (OLD.gone_ms IS NULL) <> (NEW.gone_ms IS NULL)
  OR OLD.trials_due <> NEW.trials_due
BEGIN
  UPDATE tally SET rows = rows - 1, due = due - OLD.trials_due
    WHERE OLD.gone_ms IS NULL AND kind = OLD.kind AND status = OLD.status;
  INSERT INTO tally
    SELECT NEW.kind, NEW.status, 1, NEW.trials_due WHERE NEW.gone_ms IS NULL
    ON CONFLICT DO UPDATE SET rows = rows + 1, due = due + excluded.due;
END;

CREATE TRIGGER runs_forgotten AFTER DELETE ON runs
BEGIN
  UPDATE observation SET rows = rows - 1
    WHERE seq = (SELECT observation FROM run_seen WHERE run = OLD.seq);
  DELETE FROM run_seen WHERE run = OLD.seq;
  DELETE FROM confirmation WHERE kind = OLD.kind AND id = OLD.id;
END;
