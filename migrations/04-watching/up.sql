-- The history of one run, and of a stretch of time.
CREATE INDEX status_event_by_run ON status_event (run_id);
CREATE INDEX status_event_by_time ON status_event (observed_ms);

-- Stretches of time in which something was confirmed again and again: between two of them
-- nobody looked.
CREATE TABLE look (
  -- run or evaluation for the list of the kind or one of its runs; trials for those of a run.
  what     TEXT NOT NULL,
  -- Empty for a list of runs.
  id       TEXT NOT NULL,
  from_ms  INTEGER NOT NULL,
  until_ms INTEGER NOT NULL,
  PRIMARY KEY (what, id, from_ms)
) WITHOUT ROWID;
