-- More columns of trials for filters and orders. The table is made anew: columns that are added to
-- it would come after the text, and behind its overflow pages. What is in them is read out of the
-- texts once, right after this, by `trial_rows::read_again`.
CREATE TABLE new_trials (
  seq          INTEGER PRIMARY KEY,
  list         INTEGER NOT NULL,
  id           TEXT NOT NULL,
  -- Grows in the remote's order, with gaps, so that a new trial moves no other.
  position     INTEGER NOT NULL,
  name         TEXT NOT NULL,
  task         TEXT NOT NULL,
  agent        TEXT NOT NULL,
  model        TEXT NOT NULL DEFAULT '',
  status       TEXT NOT NULL,
  -- Type of the error; empty when there is none.
  error        TEXT NOT NULL DEFAULT '',
  created_ms   INTEGER,
  started_ms   INTEGER,
  completed_ms INTEGER,
  reward       REAL,
  duration_s   REAL,
  cost_usd     REAL,
  tokens       REAL,
  tests_passed REAL,
  -- Types of which there is an artifact.
  artifacts    INTEGER NOT NULL DEFAULT 0,
  -- When it was last written; the list's `confirmed_ms` may be later.
  observed_ms  INTEGER NOT NULL,
  gone_ms      INTEGER,
  doubt_ms     INTEGER,
  body         TEXT NOT NULL
);

INSERT INTO new_trials (seq, list, id, position, name, task, agent, status, created_ms, started_ms,
    completed_ms, reward, duration_s, observed_ms, gone_ms, doubt_ms, body)
  SELECT seq, list, id, position, name, task, agent, status, created_ms, started_ms,
    completed_ms, reward, duration_s, observed_ms, gone_ms, doubt_ms, body
  FROM trials ORDER BY seq;

DROP TABLE trials;
ALTER TABLE new_trials RENAME TO trials;

CREATE UNIQUE INDEX trials_by_id ON trials (list, id);
CREATE INDEX trials_by_position ON trials (list, position);
CREATE INDEX trials_gone ON trials (gone_ms) WHERE gone_ms IS NOT NULL;

-- Lists over all runs walk this one and look at no text until they know which rows they show: it
-- holds whatever they filter and sort by, `gone_ms` too, without which it would not cover them.
CREATE INDEX trials_by_created ON trials (created_ms, id, list, status, error, agent, model, task,
  name, reward, started_ms, completed_ms, duration_s, cost_usd, tokens, tests_passed, artifacts,
  gone_ms) WHERE gone_ms IS NULL;
-- What is looked for most often and is rare: the running ones, and those with one error.
CREATE INDEX trials_by_status ON trials (status, created_ms, id, list, gone_ms)
  WHERE gone_ms IS NULL;
CREATE INDEX trials_by_error ON trials (error, created_ms, id, list, gone_ms)
  WHERE gone_ms IS NULL AND error <> '';

-- Every word that ever stood in one of those columns, so that names can be compared without case,
-- and models without their provider, before the rows are looked at.
CREATE TABLE trial_word (
  field TEXT NOT NULL,
  word  TEXT NOT NULL,
  PRIMARY KEY (field, word)
) WITHOUT ROWID;
