//! Tokens per person: what they permit, when they end, and who is named for what was done with them.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::hub::{Hub, sign_in};
use crate::test_home::TestHome;

fn added(hub: &Hub, line: &str) -> String {
    let shown = hub.home.run(&format!("hub token add {line}"));
    assert!(shown.stderr.contains("not shown again"), "{}", shown.stderr);
    shown.expect_success().trim().to_owned()
}

#[test]
fn a_persons_token_works_until_it_is_revoked_and_the_shared_one_stays() {
    let mut hub = Hub::start("");
    let shared = hub.token();
    let (alice, bob) = (added(&hub, "alice"), added(&hub, "bob --read-only"));
    let home = TestHome::new();
    for token in [&alice, &bob, &shared] {
        assert_eq!(sign_in(&home, &hub, token, "").code, Some(0));
    }
    let list = hub.home.run("hub token list --format tsv").expect_success();
    let rows: Vec<Vec<&str>> = list.lines().map(|row| row.split('\t').collect()).collect();
    assert_eq!(rows[0], ["name", "access", "created"]);
    let names: Vec<[&str; 2]> = rows[1..].iter().map(|row| [row[0], row[1]]).collect();
    let expected = [
        ["alice", "read, stop"],
        ["bob", "read"],
        ["(shared)", "read, stop"],
    ];
    assert_eq!(names, expected);
    let again = hub.home.run("hub token add alice");
    assert_eq!(again.code, Some(1), "{again:?}");
    assert_eq!(hub.home.run("hub token add a/b").code, Some(2));
    hub.home.run("hub token revoke alice").expect_success();
    assert_eq!(hub.home.run("hub token revoke alice").code, Some(3));
    assert_eq!(sign_in(&home, &hub, &alice, "").code, Some(4));
    assert_eq!(sign_in(&home, &hub, &bob, "").code, Some(0));
    hub.home.run("hub token revoke --shared").expect_success();
    assert_eq!(sign_in(&home, &hub, &shared, "").code, Some(4));
    assert_eq!(sign_in(&home, &hub, &bob, "").code, Some(0));
    let file = hub.home.path("docks/hub-tokens.json");
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    hub.end();
    let stored = fs::read_to_string(file).unwrap();
    for token in [&alice, &bob, &shared] {
        assert!(!stored.contains(token.as_str()));
        assert!(!hub.log().contains(token.as_str()));
    }
    // The next start needs no shared token.
    hub.serve("");
    assert!(!hub.home.path("docks/hub-token").exists());
    assert_eq!(sign_in(&home, &hub, &bob, "").code, Some(0));
}
