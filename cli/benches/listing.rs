//! Whole processes: `docks runs list` compared with alternatives.
//!
//! `cargo build --release --bins --examples && cargo bench -p docks --bench listing [-- ROWS…]`

#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

mod bench_home;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bench_home::{BenchHome, Runner, compare, grouped, program, sizes, time};

const ROUNDS: usize = 200;
const NEWEST: &str = "SELECT body FROM runs WHERE kind='run' AND gone_ms IS NULL ORDER BY created_ms DESC, id DESC LIMIT 20";
const LIST: &[&str] = &["runs", "list"];

fn main() {
    let floor = tempfile::tempdir().expect("a temporary directory can be made");
    let nothing = nothing(floor.path());
    let homes: Vec<(u64, BenchHome)> = sizes()
        .into_iter()
        .map(|size| {
            let mut bench_home = BenchHome::new(size, async |_| ());
            bench_home.start();
            (size, bench_home)
        })
        .collect();
    for (size, bench_home) in &homes {
        beside_peers(*size, bench_home, &nothing);
    }
    if homes.len() > 1 {
        beside_each_other(&homes);
    }
    drop(homes);
    against_a_server();
    first_sync();
}

fn beside_peers(size: u64, bench_home: &BenchHome, nothing: &Path) {
    let docks = program("docks");
    let (socket, database) = (bench_home.socket(), bench_home.database.clone());
    let url = "http://docks/tenants/bench/runs?limit=20";
    let mut runners = vec![
        Runner {
            name: "`docks runs list`",
            once: Box::new(|| time(&mut bench_home.command(&docks, LIST))),
        },
        Runner {
            name: "a program that does nothing",
            once: Box::new(|| time(&mut bench_home.command(nothing, &[]))),
        },
    ];
    if installed("sqlite3") {
        runners.push(Runner {
            name: "`sqlite3`, the same 20 rows",
            once: Box::new(|| {
                let file = database.to_string_lossy();
                time(&mut bench_home.command(Path::new("sqlite3"), &["-readonly", &file, NEWEST]))
            }),
        });
    }
    if installed("curl") {
        runners.push(Runner {
            name: "`curl --unix-socket`",
            once: Box::new(|| {
                let socket = socket.to_string_lossy();
                let arguments = ["-s", "--unix-socket", &*socket, url];
                time(&mut bench_home.command(Path::new("curl"), &arguments))
            }),
        });
    }
    let title = format!("{} cached runs", grouped(size));
    compare(&title, ROUNDS, &mut runners);
}

/// Runs the same command with each size in turn: the cost of a larger mirror.
fn beside_each_other(homes: &[(u64, BenchHome)]) {
    let docks = program("docks");
    let names: Vec<String> = homes
        .iter()
        .map(|(size, _)| format!("{} runs", grouped(*size)))
        .collect();
    let mut runners: Vec<Runner<'_>> = homes
        .iter()
        .zip(&names)
        .map(|((_, bench_home), name)| Runner {
            name,
            once: Box::new(|| time(&mut bench_home.command(&docks, LIST))),
        })
        .collect();
    let medians = compare("`docks runs list`, size by size", ROUNDS, &mut runners);
    if let (Some(least), Some(most)) = (medians.iter().min(), medians.iter().max()) {
        println!(
            "\nSlowest size / fastest size: {:.2}.",
            most.as_secs_f64() / least.as_secs_f64()
        );
    }
}

/// A home directory with a profile for the server; its daemon is stopped with it.
struct Home {
    home: tempfile::TempDir,
}

impl Home {
    fn new(remote: &Remote) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory can be made");
        let config = format!(
            "[default]\napi_url = \"{}\"\ntenant_id = \"ten\"\ntoken = \"t\"\n",
            remote.url
        );
        // The Python client looks below HOME only.
        let directory = home.path().join(".docks");
        std::fs::create_dir(&directory).expect("it can be made");
        std::fs::write(directory.join("config.toml"), config).expect("it can be written");
        Self { home }
    }

    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.home.path())
            .env("DOCKS_USE_KEYRING", "false")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // The daemon may not be running.
        let _stopped = self
            .command(&program("docks"), &["daemon", "stop"])
            .status();
    }
}

/// Against a server on this machine: warm, without daemon, the Python client, and the first call.
fn against_a_server() {
    let Some(remote) = Remote::start(200, 10) else {
        return;
    };
    let docks = program("docks");
    let home = Home::new(&remote);
    let python = python_client();
    let mut runners = vec![
        Runner {
            name: "`docks runs list`",
            once: Box::new(|| time(&mut home.command(&docks, LIST))),
        },
        Runner {
            name: "`docks --no-daemon runs list`",
            once: Box::new(|| time(&mut home.command(&docks, &["--no-daemon", "runs", "list"]))),
        },
    ];
    if let Some(python) = &python {
        runners.push(Runner {
            name: "the Python client, `runs list`",
            once: Box::new(|| time(&mut home.command(python, LIST))),
        });
    } else {
        println!("\nLeft out: the Python client; DOCKS_PYTHON_CLIENT names its `docks`.");
    }
    compare("a server on this machine, 200 runs", 20, &mut runners);
    drop(runners);

    let first = |arguments: &[&str]| {
        let home = Home::new(&remote);
        time(&mut home.command(&docks, arguments))
    };
    let mut runners = [
        Runner {
            name: "no daemon yet: it is started meanwhile",
            once: Box::new(|| first(LIST)),
        },
        Runner {
            name: "the same with `--no-daemon`",
            once: Box::new(|| first(&["--no-daemon", "runs", "list"])),
        },
    ];
    compare("first call ever", 50, &mut runners);
}

/// Finds the Python client: named by the environment, or where `.ci/run python-client` installs it.
fn python_client() -> Option<PathBuf> {
    let named = std::env::var_os("DOCKS_PYTHON_CLIENT").map(PathBuf::from);
    let installed = || {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
        Some(cache?.join("docks-ci/docks-cli-0.2.0/bin/docks"))
    };
    named.or_else(installed).filter(|program| program.is_file())
}

/// Measures the first sync of trials, including requests over loopback.
fn first_sync() {
    const RUNS: u32 = 100;
    const TRIALS: u32 = 2_000;
    let Some(remote) = Remote::start(RUNS, TRIALS) else {
        return;
    };
    let home = Home::new(&remote);
    let docks = program("docks");
    // The daemon begins to sync when it starts, so its start counts.
    let took = time(&mut home.command(&docks, &["daemon", "start"]))
        + time(&mut home.command(&docks, &["sync"]));
    println!("\n| first sync over loopback HTTP | took | trials/s |");
    println!("| --- | --- | --- |");
    println!(
        "| {RUNS} evaluation runs, {} trials each | {:.2} s | {} |",
        grouped(TRIALS.into()),
        took.as_secs_f64(),
        grouped((f64::from(RUNS * TRIALS) / took.as_secs_f64()) as u64)
    );
}

struct Remote {
    child: std::process::Child,
    url: String,
}

impl Remote {
    fn start(runs: u32, trials: u32) -> Option<Self> {
        use std::io::{BufRead, BufReader};
        let server = program("docks")
            .with_file_name("examples")
            .join("fake_docks_api");
        let child = Command::new(server)
            .args(["--port", "0"])
            .args(["--runs", &runs.to_string(), "--trials", &trials.to_string()])
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            println!("\nLeft out: a server; `cargo build --release --examples` builds it.");
            return None;
        };
        let mut line = String::new();
        BufReader::new(child.stdout.take()?)
            .read_line(&mut line)
            .ok()?;
        let url = line
            .split_whitespace()
            .find(|word| word.starts_with("http://"))?
            .to_owned();
        Some(Self { child, url })
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        // It may have exited already.
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

fn installed(name: &str) -> bool {
    let found = Command::new(name)
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok();
    if !found {
        println!("\nLeft out: {name}, which is not installed.");
    }
    found
}

/// Compiles an empty Rust program: the minimum for any process.
fn nothing(directory: &Path) -> PathBuf {
    let source = directory.join("nothing.rs");
    std::fs::write(&source, "fn main() {}\n").expect("a temporary file can be written");
    let program = directory.join("nothing");
    let mut rustc = Command::new("rustc");
    rustc.args(["-O", "-o"]).arg(&program).arg(&source);
    assert!(
        rustc.status().is_ok_and(|s| s.success()),
        "rustc compiles an empty program"
    );
    program
}
