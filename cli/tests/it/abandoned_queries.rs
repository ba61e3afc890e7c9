//! Queries whose client has gone, on the socket and on a hub: they end, and do not hold up the next one.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Child;

use crate::test_home::{TestHome, eventually};

/// Trials of the job that is searched.
const TRIALS: usize = 2_000;
/// Queries that nobody waits for any more.
const ABANDONED: usize = 8;

/// A home with a hub, whose job takes long to search: the name of its agent nearly contains the texts.
fn home() -> TestHome {
    let home = TestHome::new();
    let job = home.jobs().join("large");
    let agent = "a".repeat(700);
    let config = format!(
        r#"{{"job_name":"large","n_attempts":1,"agents":[{{"name":"{agent}"}}],"tasks":[]}}"#
    );
    fs::create_dir_all(&job).unwrap();
    fs::write(job.join("config.json"), config).unwrap();
    for number in 0..TRIALS {
        let trial = job.join(format!("task__{number:04}"));
        fs::create_dir(&trial).unwrap();
        let config = format!(
            r#"{{"task":{{"path":"tasks/task"}},"trial_name":"task__{number:04}","agent":{{"name":"{agent}"}}}}"#
        );
        fs::write(trial.join("config.json"), config).unwrap();
    }
    let settings = format!(
        "hub_listen = \"127.0.0.1:0\"\nhub_harbor = \"{}\"\n",
        home.jobs().display()
    );
    fs::write(home.path("docks/daemon.toml"), settings).unwrap();
    let all = || home.run_jobs("runs trials large -q -n 0 --offline").stdout;
    home.run_jobs("sync --full").expect_success();
    eventually("all trials are mirrored", || {
        all().lines().count() == TRIALS
    });
    home
}

/// Returns a text that no agent's name contains.
fn text(number: usize) -> String {
    format!("{}{number}", "a".repeat(500))
}

fn search(home: &TestHome, number: usize) -> Child {
    let line = format!("runs trials large -q --search {}", text(number));
    home.command_jobs(&line).spawn().unwrap()
}

/// Returns the processor time of a process, in the kernel's ticks.
fn processor_time(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    // Without the process's id and name, the user's part is the twelfth and the kernel's the thirteenth.
    let parts = after_name.split_whitespace().skip(11).take(2);
    parts.map(|part| part.parse::<u64>().unwrap()).sum()
}

#[test]
fn a_query_ends_when_its_client_has_gone() {
    let home = home();
    let pid = home.pid();
    // Different texts, since equal ones are answered at once.
    let mut numbers = 100..;
    let mut number = || numbers.next().unwrap();
    let search_once = |number| {
        let before = processor_time(pid);
        let ended = search(&home, number).wait_with_output().unwrap();
        assert!(ended.status.success(), "{ended:?}");
        processor_time(pid) - before
    };
    let one = search_once(number());
    assert!(
        one >= 20,
        "a search takes too short to be interrupted: {one}"
    );
    // Long queries have their turn one after the other, so the last search ends after all abandoned ones.
    let before = processor_time(pid);
    let mut children: Vec<_> = (0..ABANDONED).map(|_| search(&home, number())).collect();
    eventually("the searches have begun", || {
        processor_time(pid) > before + 5
    });
    for child in &mut children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    search_once(number());
    let used = processor_time(pid) - before;
    assert!(used < 4 * one, "the socket: {used} ticks, one search {one}");

    let status = home.status();
    let address = status["hub"]["address"].as_str().unwrap();
    let address = address.trim_start_matches("http://");
    let token = home.run("hub token").expect_success();
    let ask = |number: usize| {
        let mut stream = TcpStream::connect(address).unwrap();
        let path = format!("/tenants/local/harbor/runs/large/trials?q={}", text(number));
        let headers = format!("host: {address}\r\nauthorization: Bearer {}", token.trim());
        let request = format!("GET {path} HTTP/1.1\r\n{headers}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        stream
    };
    let before = processor_time(pid);
    let mut answer = String::new();
    ask(number()).read_to_string(&mut answer).unwrap();
    let one = processor_time(pid) - before;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let before = processor_time(pid);
    let streams: Vec<_> = (0..ABANDONED).map(|_| ask(number())).collect();
    eventually("the searches have begun", || {
        processor_time(pid) > before + 5
    });
    drop(streams);
    search_once(number());
    let used = processor_time(pid) - before;
    assert!(used < 4 * one, "the hub: {used} ticks, one search {one}");
}
