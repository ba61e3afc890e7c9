//! A thousand hostile texts in every list: the output contains nothing that a terminal interprets.

use std::fmt::Write;
use std::sync::{Arc, Mutex};

use crate::remote::Remote;
use crate::test_home::TestHome;

const TEXTS: usize = 1_000;

/// Parts that confuse terminals, parsers or people.
const PIECES: &[&str] = &[
    "\u{1b}[2J",
    "\u{1b}]0;title\u{7}",
    "\u{1b}]8;;http://x\u{1b}\\",
    "\u{1b}P1;2q",
    "\u{9b}31m",
    "\u{9d}0;x\u{9c}",
    "\u{1b}",
    "\r",
    "\n",
    "\t",
    "\u{0}",
    "\u{8}",
    "\u{7f}",
    "\u{85}",
    "\u{2028}",
    "\u{2029}",
    "\u{202e}",
    "\u{2066}",
    "\u{200b}",
    "\u{feff}",
    "\u{e0041}",
    "\u{ffff}",
    "%s",
    "{}",
    "../",
    "?x=1",
    "短い",
    "e\u{301}",
    "🧪",
    "\"",
    "\\",
    "a",
    "B",
    "7",
    " ",
];

/// Generates the same texts each time.
struct Texts(fastrand::Rng);

impl Texts {
    /// Returns one as a JSON string.
    fn json(&mut self) -> String {
        let mut text = String::new();
        for _ in 0..self.0.usize(..12) {
            match self.0.usize(..4) {
                0 => text.push(self.0.char(..)),
                _ => text.push_str(PIECES[self.0.usize(..PIECES.len())]),
            }
        }
        serde_json::Value::String(text).to_string()
    }
}

/// A list whose texts are all hostile; ids are plain, so that they can be requested.
fn list() -> String {
    let mut texts = Texts(fastrand::Rng::with_seed(20_261_124));
    let mut out = String::from("[");
    for index in 0..TEXTS {
        let comma = if index > 0 { "," } else { "" };
        write!(
            out,
            r#"{comma}{{"id":"id-{index:04}","name":{0},"template_name":{1},"status":{2},"status_reason":{3},
            "task_slug":{0},"agent_variant":{1},"error_message":{2},"created_at":{3},"dataset_uri":{3},
            "dns_name":{0},"remote_ref":{1},"result_data":{{"reward":{2},"tests_passed":{3}}}}}"#,
            texts.json(),
            texts.json(),
            texts.json(),
            texts.json()
        )
        .unwrap();
    }
    out.push(']');
    out
}

/// Checks that the output has one line per row, `cells` cells per line, and no control characters.
fn check_output(text: &str, cells: usize, line: &str) {
    assert_eq!(text.lines().count(), TEXTS, "{line}: a row is a line");
    for row in text.lines() {
        assert_eq!(row.matches('\t').count(), cells - 1, "{line}: {row:?}");
        let bad = row.chars().find(|&c| {
            (c.is_control() && c != '\t')
                || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        });
        assert_eq!(bad, None, "{line}: {row:?}");
    }
}

#[test]
fn ids_are_printed_as_they_are_or_not_at_all() {
    let ids = Arc::new(Mutex::new(Vec::<&str>::new()));
    let served = Arc::clone(&ids);
    let remote = Remote::start(move |request| {
        let object = |id: &&str| serde_json::json!({"id": id, "name": "n", "status": "completed"});
        let objects: Vec<_> = served.lock().unwrap().iter().map(object).collect();
        match request.contains("/runs") {
            true => (200, serde_json::Value::from(objects).to_string()),
            false => (404, "{}".to_owned()),
        }
    });
    let home = TestHome::with_remote(&remote);
    let set = |now: &[&'static str]| *ids.lock().unwrap() = now.to_vec();
    let good = ["plain", "名前 é", "a b", "-x", "$(id)", "a\\u001b"];
    set(&good);
    for way in ["--no-daemon", "--fresh"] {
        for list in ["runs list", "runs eval-list"] {
            let printed = home
                .run(&format!("{list} -q -n 0 --sort id {way}"))
                .expect_success();
            let mut printed: Vec<&str> = printed.lines().collect();
            printed.sort_unstable();
            let mut expected = good.to_vec();
            expected.sort_unstable();
            assert_eq!(printed, expected, "{list} {way}");
        }
    }
    for (bad, shown) in [
        ("a\u{1b}[31m", "`a\\u{1b}[31m`"),
        ("a\nplain", "`a\\u{a}plain`"),
        ("a\tb", "`a\\u{9}b`"),
        ("a\u{202e}b", "`a\\u{202e}b`"),
        ("a\u{200b}", "`a\\u{200b}`"),
        ("a\u{9b}1m", "`a\\u{9b}1m`"),
        ("\r", "`\\u{d}`"),
    ] {
        set(&["plain", bad]);
        let refused = home.run("runs list -q -n 0 --no-daemon");
        assert_eq!(refused.code, Some(1), "{bad:?}");
        assert_eq!(
            refused.stdout, "",
            "{bad:?}: no id is printed, also none of the others"
        );
        assert!(
            refused.stderr.contains(shown),
            "{bad:?}: {}",
            refused.stderr
        );
        assert!(
            refused.stderr.contains("--format json"),
            "{}",
            refused.stderr
        );
        let exact = home
            .run("runs list -n 0 --format json --no-daemon")
            .expect_success();
        let exact: serde_json::Value = serde_json::from_str(&exact).unwrap();
        assert_eq!(exact[1]["id"], bad);
    }
}

#[test]
fn a_thousand_hostile_texts_are_harmless_in_every_table() {
    let body = list();
    let remote = Remote::start(move |request| {
        let path = request.split([' ', '?']).nth(1).unwrap();
        match path.trim_start_matches("/tenants/ten/") {
            // It does not page: each answer is the whole list.
            "runs" | "harbor/runs" | "harbor/runs/id-0000/trials" => (200, body.clone()),
            "harbor/runs/id-0000" => (200, r#"{"id":"id-0000","status":"completed"}"#.to_owned()),
            _ => (404, r#"{"detail":"Not Found"}"#.to_owned()),
        }
    });
    let lists = [
        (
            "runs list --columns id,template,name,status,reason,created,dns,remote",
            8,
        ),
        ("runs eval-list --columns id,name,status,created,dataset", 5),
        (
            "runs trials id-0000 --columns id,task,agent,status,reward,tests,error,created",
            8,
        ),
        ("runs list -q", 1),
    ];
    let home = TestHome::with_remote(&remote);
    for way in ["--no-daemon", "", "--offline"] {
        for (list, cells) in lists {
            let line = format!("{list} -n 0 {way}");
            check_output(&home.run(&line).expect_success(), cells, &line);
        }
        // What is waited for here is in the mirror for `--offline`.
        home.run("daemon start").expect_success();
    }
    let all = home
        .run("runs list -n 0 --format json --offline")
        .expect_success();
    let read: Vec<serde_json::Value> = serde_json::from_str(&all).unwrap();
    assert_eq!(read.len(), TEXTS, "JSON is exact, and all of it");
}
