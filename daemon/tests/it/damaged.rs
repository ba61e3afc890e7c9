//! A mirror whose file is damaged, before the start and while the daemon runs, is set aside, reported
//! and mirrored again.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use docks_proto::client::Limits;
use docks_proto::freshness::CachePolicy;
use docks_proto::routes::RunKind;
use tokio::time::{Instant, sleep};

use crate::upstream_support::{Outcome, Question, Site};
use docksd_testkit::fake_remote::RemoteData;

/// How long it may take until the damage is found.
const PATIENCE: Duration = Duration::from_secs(30);

/// How the file is damaged.
#[derive(Debug, Clone, Copy)]
enum Damage {
    /// Its first bytes are overwritten.
    Head,
    /// Every page after the first is overwritten.
    Pages,
    /// Its second half is cut off.
    Half,
    /// It is empty.
    Empty,
    /// One letter of every object's status is another one.
    Statuses,
}

/// What [`Damage::Statuses`] makes of a status.
const WRONG_STATUS: &str = "\"status\":\"xompleted\"";

impl Damage {
    fn apply(self, path: &Path) {
        let file = fs::OpenOptions::new().write(true).open(path).unwrap();
        let bytes = file.metadata().unwrap().len();
        let noise = |from: u64, to: u64| {
            let noise = vec![0xa5; usize::try_from(to - from).unwrap()];
            file.write_all_at(&noise, from).unwrap();
        };
        match self {
            Damage::Head => noise(0, 100),
            Damage::Pages => noise(4_096, bytes),
            Damage::Half => file.set_len(bytes / 2 + 17).unwrap(),
            Damage::Empty => file.set_len(0).unwrap(),
            Damage::Statuses => {
                let content = fs::read(path).unwrap();
                let right = b"\"status\":\"completed\"";
                let places = content.windows(right.len()).enumerate();
                let places = places.filter(|(_, window)| window == right);
                let mut changed = 0;
                for (at, _) in places {
                    file.write_all_at(WRONG_STATUS.as_bytes(), at as u64)
                        .unwrap();
                    changed += 1;
                }
                assert!(changed > 9, "the file holds {changed} texts");
            }
        }
    }
}

/// Mirrors a remote, stops the daemon and returns the path of the mirror.
async fn mirrored() -> (Site, PathBuf) {
    let mut site = Site::new(RemoteData::sample(60, 3), None, Limits::default()).await;
    site.start(None).await;
    site.becomes_equal("at first").await;
    let database = PathBuf::from(site.status().await.database);
    // The last connection empties the WAL into the file.
    site.stop().await;
    (site, database)
}

/// Reads and changes until the damage is found, then checks that the remote is mirrored again.
async fn recovers(site: &Site, damage: Damage) {
    let deadline = Instant::now() + PATIENCE;
    let questions = site.remote.with_data(|data| Question::six(data));
    for turn in 0.. {
        site.remote
            .with_data(|data| data.add_evaluation(&format!("new-{turn}"), "running"));
        for question in &questions {
            // The answer may be that the mirror is damaged, but there must be one.
            for policy in [CachePolicy::NoCache, CachePolicy::Default] {
                if let Outcome::Answer(answer) = site.ask(question, policy).await {
                    let text = String::from_utf8_lossy(&answer.body);
                    assert!(!text.contains(WRONG_STATUS), "{question:?}: {text}");
                }
            }
        }
        // What is polled replaces what is damaged; the rest waits for the next sweep.
        if matches!(damage, Damage::Statuses) {
            break;
        }
        if site
            .client()
            .status()
            .await
            .unwrap()
            .remotes
            .iter()
            .any(|r| r.set_aside.is_some())
        {
            break;
        }
        assert!(Instant::now() < deadline, "{damage:?} is never found");
        sleep(Duration::from_millis(20)).await;
    }
    site.becomes_equal(&format!("{damage:?}")).await;
    if !matches!(damage, Damage::Statuses) {
        let aside = site.status().await.set_aside.unwrap();
        assert!(Path::new(&aside).exists(), "{aside}");
    }
    let came = site
        .ask(&Question::List(RunKind::Run), CachePolicy::Default)
        .await;
    assert_eq!(came.exit(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_damaged_before_the_start_is_set_aside_and_mirrored_again() {
    for damage in [Damage::Head, Damage::Pages, Damage::Half, Damage::Statuses] {
        let (mut site, database) = mirrored().await;
        damage.apply(&database);
        site.start(None).await;
        recovers(&site, damage).await;
        site.stop().await;
    }
    // An empty file counts as a new mirror.
    let (mut site, database) = mirrored().await;
    Damage::Empty.apply(&database);
    site.start(None).await;
    site.becomes_equal("an empty file").await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_damaged_while_the_daemon_runs_is_set_aside_and_mirrored_again() {
    for damage in [Damage::Pages, Damage::Half, Damage::Statuses] {
        let (mut site, database) = mirrored().await;
        site.start(None).await;
        let run = site.remote.with_data(|data| Question::six(data));
        assert_eq!(site.ask(&run[0], CachePolicy::Default).await.exit(), 0);
        damage.apply(&database);
        recovers(&site, damage).await;
        site.stop().await;
    }
}
