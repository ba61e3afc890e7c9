-- AUTOINCREMENT: a number that a reader resumes from is never given twice.
CREATE TABLE status_event (
  seq         INTEGER PRIMARY KEY AUTOINCREMENT,
  -- run, evaluation or trial.
  kind        TEXT NOT NULL,
  run_id      TEXT NOT NULL,
  trial_id    TEXT,
  -- NULL when it was seen for the first time.
  from_status TEXT,
  to_status   TEXT NOT NULL,
  -- The object's own time of the change, else when it was observed.
  at_ms       INTEGER NOT NULL,
  observed_ms INTEGER NOT NULL,
  -- polled or own_action.
  learned     TEXT NOT NULL
);
