//! Size limit, pins and damaged content.

use std::os::unix::fs::PermissionsExt;

use docks_proto::mirrors::MirrorId;

use super::*;
use crate::digest::Sha256;
use crate::owner::{AddressKey, RunKey};

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Opens the cache at this time.
    fn at(&self, second: i64, limit_bytes: u64) -> Cache {
        let root = self.0.path().join("cache/artifacts");
        Cache::new(root, limit_bytes, UnixMs(second * 1_000))
    }

    /// Caches content under an address; returns the keys of both.
    fn insert(&self, cache: &Cache, address: &str, content: &[u8]) -> (Sha256, Sha256) {
        let path = self.0.path().join("new");
        std::fs::write(&path, content).unwrap();
        let mut file = File::open(&path).unwrap();
        let (sha256, size_bytes) = Sha256::of_reader(&mut file).unwrap();
        let key = Sha256::of_text(address);
        let of_user = AddressKey {
            hash: key.clone(),
            owner: None,
            former: None,
        };
        cache.insert_copy(&file, &sha256, size_bytes).unwrap();
        cache
            .record_content(&of_user, None, &sha256, size_bytes)
            .unwrap();
        (key, sha256)
    }
}

fn run(id: &str) -> RunKey {
    RunKey {
        remote: "https://api.example ten".to_owned(),
        run_id: id.to_owned(),
        owner: None,
        inherits: false,
    }
}

#[test]
fn the_least_recently_used_is_removed_first_and_pinned_runs_are_kept() {
    let home = Home::new();
    let (pinned_key, pinned) = home.insert(&home.at(1, 1_000), "p", &[1; 100]);
    let (_, oldest) = home.insert(&home.at(2, 1_000), "a", &[2; 100]);
    let (_, used) = home.insert(&home.at(3, 1_000), "b", &[3; 100]);
    let (_, newest) = home.insert(&home.at(4, 1_000), "c", &[4; 100]);
    let cache = home.at(5, 1_000);
    cache.add_to_run(&run("r"), [pinned_key]).unwrap();
    assert!(cache.set_pinned(&run("r"), true).unwrap());
    assert!(!cache.set_pinned(&run("r"), true).unwrap());
    drop(cache.open_verified(&oldest).unwrap());
    assert_eq!(cache.usage().unwrap().pinned_bytes, 100);
    let removed = cache.prune(200).unwrap();
    assert_eq!((removed.objects, removed.size_bytes), (2, 200));
    let left = [&pinned, &oldest, &used, &newest].map(|sha256| cache.has(sha256));
    assert_eq!(
        left,
        [true, true, false, false],
        "what was just read is kept"
    );
    assert_eq!(cache.clear(false).unwrap().objects, 1);
    assert!(cache.has(&pinned));
    assert_eq!(cache.clear(true).unwrap().objects, 1);
    assert_eq!(cache.usage().unwrap(), Usage::default());
    assert_eq!(cache.runs().unwrap(), []);
}

#[test]
fn adding_an_object_keeps_the_cache_within_its_limit() {
    let home = Home::new();
    let cache = home.at(1, 1_000);
    for n in 0..50_u8 {
        home.insert(&cache, &n.to_string(), &[n; 100]);
        cache.prune_to_limit().unwrap();
    }
    assert_eq!(cache.usage().unwrap().size_bytes, 1_000);
    home.insert(&cache, "large", &[7; 501]);
    assert_eq!(
        cache.usage().unwrap().size_bytes,
        1_000,
        "it would displace half"
    );
}

#[test]
fn damaged_content_is_never_returned() {
    let home = Home::new();
    let cache = home.at(1, 1_000);
    let (_, sha256) = home.insert(&cache, "a", b"content");
    let (_, other) = home.insert(&cache, "b", b"other");
    std::fs::write(cache.object_path(&sha256), b"Content").unwrap();
    assert!(cache.open_verified(&sha256).unwrap().is_none());
    assert!(!cache.has(&sha256));
    std::fs::write(cache.object_path(&other), b"").unwrap();
    let verified = cache.verify().unwrap();
    assert_eq!((verified.good, verified.removed.objects), (0, 1));
    assert!(!cache.has(&other));
}

#[test]
fn other_users_cannot_read_the_cache() {
    let home = Home::new();
    let cache = home.at(1, 1_000);
    let (key, sha256) = home.insert(&cache, "a", b"content");
    cache.add_to_run(&run("r"), [key]).unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&cache.object_path(&sha256)), 0o600);
    assert_eq!(mode(cache.root()), 0o700);
    for shard in ["known", "objects", "runs"] {
        for path in entries(&cache.root().join(shard)).unwrap() {
            let expected = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode(&path), expected, "{}", path.display());
        }
    }
}

#[test]
fn forgetting_an_owner_keeps_what_others_have() {
    let home = Home::new();
    let cache = home.at(1, 1_000);
    let mirror = |digit: &str| MirrorId::parse(&digit.repeat(16)).unwrap();
    let owned = |digit: &str, address: &str| AddressKey {
        hash: Sha256::of_text(&format!("{digit} {address}")),
        owner: Some(mirror(digit)),
        former: None,
    };
    let of_user = |address: &str| AddressKey {
        hash: Sha256::of_text(address),
        owner: None,
        former: None,
    };
    let run_of = |digit: &str| RunKey {
        owner: Some(mirror(digit)),
        ..run("r")
    };
    let mut objects = Vec::new();
    for (key, content) in [
        (owned("a", "log"), "of a"),
        (owned("b", "log"), "of b"),
        (owned("a", "both"), "of both"),
        (owned("b", "both"), "of both"),
        (of_user("bucket of a"), "bucket of a"),
        (of_user("bucket of both"), "bucket of both"),
        (of_user("read without a run"), "read without a run"),
    ] {
        let (_, sha256) = home.insert(&cache, "", content.as_bytes());
        cache
            .record_content(&key, None, &sha256, content.len() as u64)
            .unwrap();
        objects.push((content, sha256));
    }
    remove(&cache.record_path(&Sha256::of_text(""))).unwrap();
    let names = ["bucket of a", "bucket of both"].map(Sha256::of_text);
    cache.add_to_run(&run_of("a"), names.clone()).unwrap();
    cache.set_pinned(&run_of("a"), true).unwrap();
    cache.add_to_run(&run_of("b"), [names[1].clone()]).unwrap();
    let partial = |digit: &str| {
        let file = cache.partial(&owned(digit, "partial")).unwrap();
        let path = file
            .display_path
            .with_file_name(format!(".{}.part", file.file_name));
        std::fs::write(&path, "begun").unwrap();
        path
    };
    let (partial_a, partial_b) = (partial("a"), partial("b"));
    assert_eq!(cache.owners().unwrap(), [mirror("a"), mirror("b")].into());
    let of_a = ArtifactsOf {
        mirror: mirror("a"),
        unowned_runs_of: None,
    };
    let forgotten = cache.forget(&of_a).unwrap();
    let removed = ["of a", "bucket of a"];
    assert_eq!(forgotten.artifacts, 3);
    assert_eq!(forgotten.size_bytes, removed.concat().len() as u64);
    for (content, sha256) in &objects {
        assert_eq!(cache.has(sha256), !removed.contains(content), "{content}");
    }
    assert_eq!(cache.runs().unwrap().len(), 1);
    assert!(!partial_a.exists() && partial_b.exists());
    assert_eq!(cache.forget(&of_a).unwrap(), Forgotten::default());
    assert_eq!(cache.owners().unwrap(), [mirror("b")].into());
}
