-- One row per evaluation run whose trials, or one of them, were ever fetched.
CREATE TABLE trial_list (
  seq          INTEGER PRIMARY KEY,
  run          TEXT NOT NULL UNIQUE,
  -- When the whole list was confirmed; all its unchanged trials are as old as this.
  confirmed_ms INTEGER,
  validator    TEXT,
  rows         INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE trials (
  seq          INTEGER PRIMARY KEY,
  list         INTEGER NOT NULL,
  id           TEXT NOT NULL,
  -- Grows in the remote's order, with gaps, so that a new trial moves no other.
  position     INTEGER NOT NULL,
  name         TEXT NOT NULL,
  task         TEXT NOT NULL,
  agent        TEXT NOT NULL,
  status       TEXT NOT NULL,
  created_ms   INTEGER,
  started_ms   INTEGER,
  completed_ms INTEGER,
  reward       REAL,
  duration_s   REAL,
  -- When it was last written; the list's `confirmed_ms` may be later.
  observed_ms  INTEGER NOT NULL,
  gone_ms      INTEGER,
  doubt_ms     INTEGER,
  body         TEXT NOT NULL
);

CREATE UNIQUE INDEX trials_by_id ON trials (list, id);
CREATE INDEX trials_by_position ON trials (list, position);
CREATE INDEX trials_gone ON trials (gone_ms) WHERE gone_ms IS NOT NULL;

CREATE TABLE trial_status (
  status TEXT PRIMARY KEY
) WITHOUT ROWID;
