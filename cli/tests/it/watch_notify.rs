//! `docks runs watch --notify`, with a bus and a notification service of the test's own.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use dbus::Message;
use dbus::blocking::LocalConnection;
use dbus::channel::Channel;

use crate::real::{Real, eventually};
use crate::remote::Remote;
use crate::sealed::Ended;
use crate::watch::Night;

/// What a notification said: title and text.
type Shown = (String, String);

/// How long a test waits; reaching it means that it never will be.
const PATIENCE: Duration = Duration::from_secs(60);

/// A session bus, which ends with the test.
pub(crate) struct Bus {
    daemon: Child,
    pub(crate) address: String,
}

impl Bus {
    /// Starts one for a test; `None`, and the test is reported as skipped, without `dbus-daemon`.
    pub(crate) fn start(test: &str, real: &Real) -> Option<Self> {
        let socket = real.path("bus").display().to_string();
        let config = real.path("bus.conf");
        // No service directories: asking for a name starts nothing of this machine's.
        let text = format!(
            "<busconfig><type>session</type><listen>unix:path={socket}</listen>\
             <policy context=\"default\"><allow send_destination=\"*\"/>\
             <allow receive_sender=\"*\"/><allow own=\"*\"/>\
             </policy></busconfig>"
        );
        std::fs::write(&config, text).unwrap();
        let started = Command::new("dbus-daemon")
            .args(["--nofork", "--nopidfile", "--print-address"])
            .arg(format!("--config-file={}", config.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut daemon) = started else {
            docksd_testkit::skip(test, "dbus-daemon is not installed");
            return None;
        };
        let mut address = String::new();
        let stdout = daemon.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut address).unwrap();
        let address = address.trim().to_owned();
        Some(Self { daemon, address })
    }

    /// Starts a service that shows notifications by sending what they say; it ends with the bus.
    pub(crate) fn service(&self) -> Receiver<Shown> {
        let (address, (told, shown)) = (self.address.clone(), channel());
        let (ready, begun) = channel();
        std::thread::spawn(move || serve(&address, &ready, &told));
        begun.recv_timeout(PATIENCE).unwrap();
        shown
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        drop(self.daemon.kill());
        drop(self.daemon.wait());
    }
}

fn serve(address: &str, ready: &Sender<()>, told: &Sender<Shown>) {
    let mut to_bus = Channel::open_private(address).unwrap();
    to_bus.register().unwrap();
    let connection = LocalConnection::from(to_bus);
    let name = "org.freedesktop.Notifications";
    connection.request_name(name, false, true, true).unwrap();
    ready.send(()).unwrap();
    let bus = connection.channel();
    while bus.read_write(Some(Duration::from_secs(1))).is_ok() {
        while let Some(asked) = bus.pop_message() {
            if let Some(answer) = answer(&asked, told) {
                bus.send(answer).unwrap();
            }
        }
    }
}

fn answer(asked: &Message, told: &Sender<Shown>) -> Option<Message> {
    let about = asked.method_return();
    match &*asked.member()? {
        "GetServerInformation" => Some(about.append3("test", "docks", "1").append1("1.2")),
        "Notify" => {
            let (_, _, _, title, text) = asked
                .read5::<String, u32, String, String, String>()
                .unwrap();
            // Whoever started it may have heard enough.
            drop(told.send((title, text)));
            Some(about.append1(7_u32))
        }
        _ => None,
    }
}

fn watch(real: &Real, address: Option<&str>, line: &str) -> Ended {
    let mut command = real.command(line);
    command.env("DOCKS_USE_KEYRING", "false");
    if let Some(address) = address {
        command.env("DBUS_SESSION_BUS_ADDRESS", address);
    }
    Ended::of(command.output().unwrap())
}

fn warnings(ended: &Ended) -> Vec<&str> {
    let lines = ended.stderr.lines();
    lines.filter(|line| line.starts_with("warning")).collect()
}

#[test]
fn the_end_of_a_run_is_notified_once_without_its_markup() {
    let night = Night::new(1);
    night.trial(0, "passed");
    night.run("completed");
    let remote = Remote::start(move |asked| {
        let (status, body) = night.answer(asked);
        let name = r#""<b>R&D\u001b[31m""#;
        (status, body.replace(r#""night""#, name))
    });
    let real = Real::of(&remote);
    let Some(bus) = Bus::start(
        "watch_notify::the_end_of_a_run_is_notified_once_without_its_markup",
        &real,
    ) else {
        return;
    };
    let shown = bus.service();
    let ended = watch(&real, Some(&bus.address), "runs watch n1 --notify");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(warnings(&ended).is_empty(), "{}", ended.stderr);
    let all: Vec<Shown> = shown.try_iter().collect();
    let wanted = ("‹b›R＆D: completed", "1/1 trials, 1 passed");
    assert_eq!(all, [(wanted.0.to_owned(), wanted.1.to_owned())]);
}

#[test]
fn a_watch_without_anybody_to_notify_warns_once_and_goes_on() {
    let night = Night::new(1);
    let remote = night.start();
    let real = Real::of(&remote);
    night.trial(0, "passed");
    night.run("failed");
    let line = "runs watch night --notify --exit-status";
    let no_session = watch(&real, None, line);
    assert_eq!(no_session.code, Some(10), "{}", no_session.stderr);
    assert_eq!(
        warnings(&no_session),
        ["warning: --notify: there is no desktop session (no session bus)"]
    );
    assert!(no_session.stdout.contains("\tfailed"), "{no_session:?}");
    let no_bus = watch(&real, Some("unix:path=/nowhere/bus"), line);
    assert_eq!((no_bus.code, warnings(&no_bus).len()), (Some(10), 1));
    let Some(bus) = Bus::start(
        "watch_notify::a_watch_without_anybody_to_notify_warns_once_and_goes_on",
        &real,
    ) else {
        return;
    };
    let no_service = watch(&real, Some(&bus.address), line);
    assert_eq!(no_service.code, Some(10), "{}", no_service.stderr);
    let [warning] = warnings(&no_service)[..] else {
        panic!("{}", no_service.stderr);
    };
    assert!(
        warning.starts_with("warning: --notify: the notification service cannot be reached"),
        "{warning}"
    );
}

#[test]
fn a_standing_rule_notifies_though_nobody_watches() {
    let night = Night::new(1);
    let remote = night.start();
    let real = Real::of(&remote);
    let Some(bus) = Bus::start(
        "watch_notify::a_standing_rule_notifies_though_nobody_watches",
        &real,
    ) else {
        return;
    };
    let shown = bus.service();
    let rules = "log_level = \"info,docksd::ends=debug\"\n[[on_end]]\nname = \"ni*\"\nnotify = true\n\n\
                 [[on_end]]\nstatus = \"cancelled\"\nexec = [\"/bin/false\"]\n";
    std::fs::write(real.path("docks/daemon.toml"), rules).unwrap();
    assert_eq!(
        watch(&real, Some(&bus.address), "daemon start").code,
        Some(0)
    );
    real.run("runs trials night --fresh").good();
    eventually("the rules stand and the history is followed", || {
        let log = real.run("daemon logs").stdout;
        log.contains("2 on_end rules are active") && log.contains("for runs that have ended")
    });
    night.trial(0, "failed");
    night.run("failed");
    let said = shown.recv_timeout(PATIENCE).unwrap();
    assert_eq!(
        said,
        (
            "night: failed".to_owned(),
            "1/1 trials, 0 passed".to_owned()
        )
    );
    real.stop();
    assert_eq!(shown.try_iter().count(), 0);
    std::fs::write(real.path("docks/daemon.toml"), "[[on_end]]\nnotfy = true\n").unwrap();
    let refused = real.run("daemon start");
    let why = "`on_end` in";
    assert!(
        refused.stderr.contains(why) && refused.stderr.contains("`notfy`"),
        "{refused:?}"
    );
}
