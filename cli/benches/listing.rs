//! Whole processes: `docks runs list` beside what a user could pick instead.
//!
//! `cargo build --release && cargo build --release --example fake_docks_api && cargo bench -p docks --bench listing [-- ROWS…]`

#![expect(clippy::print_stdout, reason = "its figures are its output")]

mod stage;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use stage::{Runner, Stage, compare, program, time};

const ROUNDS: usize = 200;
const NEWEST: &str = "SELECT body FROM runs WHERE kind='run' AND gone_ms IS NULL ORDER BY created_ms DESC, id DESC LIMIT 20";

fn main() {
    let sizes: Vec<u64> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let sizes = if sizes.is_empty() {
        vec![1_000, 100_000, 1_000_000]
    } else {
        sizes
    };
    let mut warm = Vec::new();
    for size in &sizes {
        warm.push(at(*size));
    }
    let (least, most) = (warm.iter().min(), warm.iter().max());
    if let (Some(least), Some(most)) = (least, most) {
        println!(
            "\nwarm list, slowest size / fastest size: {:.2}",
            most.as_secs_f64() / least.as_secs_f64()
        );
    }
    against_a_server();
    first_sync();
}

fn at(size: u64) -> Duration {
    let mut stage = Stage::new(size);
    stage.start();
    let stage = &stage;
    let (docks, nothing) = (program("docks"), nothing(stage.home.path()));
    let (socket, database) = (stage.socket(), stage.database.clone());
    let url = "http://docks/tenants/bench/runs?limit=20";
    let mut runners = vec![
        Runner {
            name: "docks runs list",
            once: Box::new(|| time(&mut stage.command(&docks, &["runs", "list"]))),
        },
        Runner {
            name: "a program that does nothing",
            once: Box::new(|| time(&mut stage.command(&nothing, &[]))),
        },
    ];
    if installed("sqlite3") {
        runners.push(Runner {
            name: "sqlite3, the same 20 rows",
            once: Box::new(|| {
                let file = database.to_string_lossy();
                time(&mut stage.command(Path::new("sqlite3"), &["-readonly", &file, NEWEST]))
            }),
        });
    }
    if installed("curl") {
        runners.push(Runner {
            name: "curl --unix-socket",
            once: Box::new(|| {
                let socket = socket.to_string_lossy();
                let arguments = ["-s", "--unix-socket", &*socket, url];
                time(&mut stage.command(Path::new("curl"), &arguments))
            }),
        });
    }
    compare(&format!("{size} cached runs"), ROUNDS, &mut runners)[0]
}

/// A home with a profile for the server, the daemon of which is ended with it.
struct Guest {
    home: tempfile::TempDir,
}

impl Guest {
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

impl Drop for Guest {
    fn drop(&mut self) {
        // It may never have been started; then there is nothing to stop.
        let _stopped = self
            .command(&program("docks"), &["daemon", "stop"])
            .status();
    }
}

/// Against a server on this machine: warm, without daemon, the Python client, and the first call ever.
fn against_a_server() {
    let Some(remote) = Remote::start(200, 10) else {
        println!(
            "\nserver: skipped, build it with `cargo build --release --example fake_docks_api`"
        );
        return;
    };
    let docks = program("docks");
    let guest = Guest::new(&remote);
    let mut runners = vec![
        Runner {
            name: "docks runs list",
            once: Box::new(|| time(&mut guest.command(&docks, &["runs", "list"]))),
        },
        Runner {
            name: "docks --no-daemon runs list",
            once: Box::new(|| time(&mut guest.command(&docks, &["--no-daemon", "runs", "list"]))),
        },
    ];
    if let Some(python) = std::env::var_os("DOCKS_PYTHON_CLIENT") {
        let python = std::path::PathBuf::from(python);
        let guest = &guest;
        runners.push(Runner {
            name: "the Python client",
            once: Box::new(move || time(&mut guest.command(&python, &["runs", "list"]))),
        });
    } else {
        println!("the Python client is left out; DOCKS_PYTHON_CLIENT names its `docks`");
    }
    compare("a server on this machine, 200 runs", 20, &mut runners);
    drop(runners);

    let first = |arguments: &[&str]| {
        let guest = Guest::new(&remote);
        time(&mut guest.command(&docks, arguments))
    };
    let mut runners = [
        Runner {
            name: "first call, no daemon yet",
            once: Box::new(|| first(&["runs", "list"])),
        },
        Runner {
            name: "the same with --no-daemon",
            once: Box::new(|| first(&["--no-daemon", "runs", "list"])),
        },
    ];
    compare("first call ever", 30, &mut runners);
}

/// How fast a first sync brings trials, requests over loopback included.
fn first_sync() {
    const RUNS: u32 = 100;
    const TRIALS: u32 = 2_000;
    let Some(remote) = Remote::start(RUNS, TRIALS) else {
        return;
    };
    let guest = Guest::new(&remote);
    let docks = program("docks");
    time(&mut guest.command(&docks, &["daemon", "start"]));
    let took = time(&mut guest.command(&docks, &["sync"]));
    println!(
        "\nfirst sync of {RUNS} evaluation runs with {TRIALS} trials each: {:.2} s, {:.0} trials/s",
        took.as_secs_f64(),
        f64::from(RUNS * TRIALS) / took.as_secs_f64()
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
        let mut child = Command::new(server)
            .args(["--port", "0"])
            .args(["--runs", &runs.to_string(), "--trials", &trials.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
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
        // It may have ended by itself.
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
        println!("{name} is not installed and left out");
    }
    found
}

/// Compiles a Rust program that does nothing: the floor of any process.
fn nothing(directory: &Path) -> std::path::PathBuf {
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
