//! What the fake server has: rows with the columns of the real one's views.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::{Connection, params};
use serde_json::{Value, json};

const TABLES: &str = "
    CREATE TABLE job (id TEXT PRIMARY KEY, name TEXT, state TEXT, created_at TEXT, updated_at TEXT, started_at TEXT,
        finished_at TEXT, config TEXT, lock_uri TEXT);
    CREATE TABLE rollout (id TEXT PRIMARY KEY, job_id TEXT, name TEXT, state TEXT, phase TEXT, created_at TEXT,
        updated_at TEXT, started_at TEXT, finished_at TEXT, retry_index INTEGER, is_latest_attempt INTEGER,
        retry_ids TEXT, task_name TEXT, task_digest TEXT, task_source TEXT, agent_name TEXT, agent_version TEXT,
        model_name TEXT, model_provider TEXT, reasoning_effort TEXT, environment_type TEXT, error_type TEXT,
        storage_error_type TEXT, n_input_tokens INTEGER, n_cached_input_tokens INTEGER, n_output_tokens INTEGER,
        cost_usd REAL, config TEXT, lock TEXT);
    CREATE INDEX rollout_of_job ON rollout(job_id);
    CREATE TABLE rollout_reward (rollout_id TEXT, reward_key TEXT, value REAL);
    CREATE INDEX reward_of_rollout ON rollout_reward(rollout_id);
    CREATE TABLE rollout_artifact (rollout_id TEXT, path TEXT, uri TEXT);
    CREATE INDEX artifact_of_rollout ON rollout_artifact(rollout_id);";

/// What a fake server has, and how it behaves.
pub struct ServerData {
    pub(super) tables: Connection,
    /// Results by attempt.
    pub(super) results: BTreeMap<String, Value>,
    /// Phases of running attempts.
    pub(super) phases: BTreeMap<String, String>,
    /// What running attempts have used so far.
    pub(super) usages: BTreeMap<String, Value>,
    /// The requests so far, as method and path with query.
    pub requests: Vec<String>,
    /// The key that it requires.
    pub key: Option<String>,
    /// The version of its API.
    pub version: String,
    /// A status with which it refuses everything.
    pub refuses_with: Option<u16>,
    /// How long it takes to answer about one attempt.
    pub delay_of_results: Duration,
    /// Bytes that each file has besides its content, so that it takes room.
    pub padding_bytes: usize,
    /// The data directory that addresses of files name.
    pub data_dir: String,
    clock_us: u64,
}

/// One attempt.
#[derive(Debug, Clone)]
pub struct FakeAttempt {
    /// Its id.
    pub id: String,
    /// The ids of the attempts before it, oldest first.
    pub before: Vec<String>,
    /// The server's word for its state.
    pub state: &'static str,
    /// The name of its task.
    pub task: String,
    /// Whether it has started.
    pub started: bool,
    /// Its reward, under the key `reward`.
    pub reward: Option<f64>,
    /// Its exception, with the message.
    pub error: Option<(&'static str, &'static str)>,
}

impl Default for FakeAttempt {
    fn default() -> Self {
        Self {
            id: String::new(),
            before: Vec::new(),
            state: "finished",
            task: "hello".to_owned(),
            started: true,
            reward: None,
            error: None,
        }
    }
}

impl ServerData {
    pub(super) fn new() -> Self {
        let tables = Connection::open_in_memory().unwrap();
        tables.execute_batch(TABLES).unwrap();
        Self {
            tables,
            results: BTreeMap::new(),
            phases: BTreeMap::new(),
            usages: BTreeMap::new(),
            requests: Vec::new(),
            key: None,
            version: "2026-10-30".to_owned(),
            refuses_with: None,
            delay_of_results: Duration::ZERO,
            padding_bytes: 0,
            data_dir: "/d".to_owned(),
            clock_us: 0,
        }
    }

    /// Returns the next moment, as the tables have it.
    fn tick(&mut self) -> String {
        self.clock_us += 1_000;
        let (seconds, us) = (self.clock_us / 1_000_000, self.clock_us % 1_000_000);
        let (minutes, seconds) = (seconds / 60, seconds % 60);
        let (hours, minutes) = (minutes / 60, minutes % 60);
        format!("2026-11-29T{hours:02}:{minutes:02}:{seconds:02}.{us:06}+00:00")
    }

    /// Lets time pass.
    pub fn advance_clock(&mut self, time: Duration) {
        self.clock_us += u64::try_from(time.as_micros()).unwrap();
    }

    /// Sets the clock back, as a correction of the server's wall clock does.
    pub fn set_clock_back(&mut self) {
        self.clock_us = 0;
    }

    /// Adds a job, or changes its state.
    pub fn job(&mut self, id: &str, name: &str, state: &str) {
        let now = self.tick();
        let config = json!({"job_name": name, "n_attempts": 1, "n_concurrent_trials": 4,
            "environment": {"type": "docker"}, "retry": {"max_retries": 1},
            "agents": [{"name": "coder", "model_name": "acme/model-1"}], "datasets": []});
        let ended = matches!(state, "finished" | "cancelled").then(|| now.clone());
        let has_started = matches!(state, "running" | "cancelling" | "finished");
        let started = has_started.then(|| now.clone());
        let sql = "INSERT INTO job VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO UPDATE SET \
             state = ?3, updated_at = ?4, started_at = coalesce(started_at, ?5), finished_at = ?6";
        let plan = format!("file://{}/files/jobs/{id}/lock.json", self.data_dir);
        let row = params![
            id,
            name,
            state,
            now,
            started,
            ended,
            config.to_string(),
            plan
        ];
        self.tables.execute(sql, row).unwrap();
    }

    /// Sets the address of a job's plan.
    pub fn set_plan(&mut self, job: &str, uri: &str) {
        let sql = "UPDATE job SET lock_uri = ? WHERE id = ?";
        self.tables.execute(sql, [uri, job]).unwrap();
    }

    /// Adds an attempt of a job, or replaces it.
    pub fn attempt(&mut self, job: &str, attempt: &FakeAttempt) {
        let now = self.tick();
        let ended = matches!(attempt.state, "finished" | "cancelled");
        let mut chain: Vec<&str> = attempt.before.iter().map(String::as_str).collect();
        chain.push(&attempt.id);
        chain.reverse();
        let chain = json!(chain).to_string();
        let name = format!(
            "{}__{}",
            attempt.task,
            attempt.before.first().unwrap_or(&attempt.id)
        );
        for earlier in &attempt.before {
            // Without a new time, as in the real server.
            let sql = "UPDATE rollout SET is_latest_attempt = 0, retry_ids = ? WHERE id = ?";
            self.tables.execute(sql, params![chain, earlier]).unwrap();
        }
        let row = params![
            attempt.id,
            job,
            name,
            attempt.state,
            now,
            attempt.started.then_some(&now),
            ended.then_some(&now),
            i64::try_from(attempt.before.len()).unwrap(),
            chain,
            attempt.task,
            attempt.error.map(|(kind, _)| kind),
            ended.then_some(100),
        ];
        let sql = "INSERT OR REPLACE INTO rollout (id, job_id, name, state, created_at, updated_at, started_at, \
             finished_at, retry_index, is_latest_attempt, retry_ids, task_name, agent_name, agent_version, model_name, \
             error_type, n_input_tokens, n_cached_input_tokens, n_output_tokens, cost_usd) VALUES \
             (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8, 1, ?9, ?10, 'coder', '1.0', 'acme/model-1', ?11, ?12, 0, ?12, 0.5)";
        self.tables.execute(sql, row).unwrap();
        self.replace_outcome(attempt, &name, ended);
        let sql = "UPDATE job SET updated_at = ? WHERE id = ?";
        self.tables.execute(sql, params![now, job]).unwrap();
    }

    fn replace_outcome(&mut self, attempt: &FakeAttempt, name: &str, ended: bool) {
        for table in ["rollout_reward", "rollout_artifact"] {
            let sql = format!("DELETE FROM {table} WHERE rollout_id = ?");
            self.tables.execute(&sql, [&attempt.id]).unwrap();
        }
        if !ended || !attempt.started {
            return;
        }
        if let Some(reward) = attempt.reward {
            let sql = "INSERT INTO rollout_reward VALUES (?, 'reward', ?)";
            self.tables
                .execute(sql, params![attempt.id, reward])
                .unwrap();
        }
        let files = [
            "agent/",
            "agent/coder.txt",
            "agent/sessions/1.jsonl",
            "config.json",
        ];
        for path in files.into_iter().chain(["result.json", "trial.log"]) {
            let folder = format!("{}/files/rollouts/{}/{name}", self.data_dir, attempt.id);
            let uri = format!("file://{folder}/{path}");
            let sql = "INSERT INTO rollout_artifact VALUES (?, ?, ?)";
            self.tables
                .execute(sql, params![attempt.id, path, uri])
                .unwrap();
        }
        let rewards = attempt
            .reward
            .map(|reward| json!({"rewards": {"reward": reward}}));
        let error = attempt
            .error
            .map(|(kind, message)| json!({"exception_type": kind, "exception_message": message}));
        let phase =
            json!({"started_at": "2026-11-29T08:00:00Z", "finished_at": "2026-11-29T08:00:01.5Z"});
        let result = json!({
            "id": attempt.id, "task_name": format!("tiny/{}", attempt.task), "trial_name": name,
            "agent_info": {"name": "coder", "version": "1.0",
                "model_info": {"name": "model-1", "provider": "acme"}},
            "agent_result": {"n_input_tokens": 100, "n_cache_tokens": 0, "n_output_tokens": 100, "cost_usd": 0.5},
            "verifier_result": rewards, "exception_info": error, "reward_valid": attempt.reward.is_some(),
            "agent_execution": phase, "step_results": null,
        });
        self.results.insert(attempt.id.clone(), result);
    }

    /// Sets the phase of a running attempt, which does not change its time.
    pub fn phase(&mut self, attempt: &str, phase: &str) {
        self.phases.insert(attempt.to_owned(), phase.to_owned());
    }

    /// Sets what a running attempt has used so far, which does not change its time.
    pub fn usage(&mut self, attempt: &str, output_tokens: u64, cost_usd: f64) {
        let usage = json!({"n_input_tokens": 100, "n_cached_input_tokens": 0, "n_output_tokens": output_tokens,
            "cost_usd": cost_usd});
        self.usages.insert(attempt.to_owned(), usage);
    }
}
