//! Single bytes of the file are changed, and parts of it cut off, anywhere: nothing wrong is given out, and
//! one sweep mends everything that the remote still has.

mod world;

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use docks_proto::query::{ListKind, ListQuery};
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use docksd_mirror::{AgeOfTrials, Mirror, Resolution};
use rusqlite::OpenFlags;

use crate::support::everything;

use world::{IDENTITY, World, open};

/// Number of damages, unless the environment sets another one.
const DAMAGES: u64 = 60;
const DAMAGES_VARIABLE: &str = "DOCKS_DAMAGES";
/// The first seed; with one damage, this repeats the one that failed.
const SEED_VARIABLE: &str = "DOCKS_DAMAGE_SEED";

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// The files of a mirror as they are on the disk at one moment.
struct Image {
    name: &'static str,
    /// Suffix and content of each file.
    files: Vec<(&'static str, Vec<u8>)>,
}

impl Image {
    fn take(name: &'static str, path: &Path) -> Self {
        let read = |suffix| Some((suffix, fs::read(beside(path, suffix)).ok()?));
        let files = ["", "-wal", "-shm"].into_iter().filter_map(read);
        Self {
            name,
            files: files.collect(),
        }
    }

    /// Writes the files, changed in one place; returns what was done.
    fn damage(&self, path: &Path, rng: &mut fastrand::Rng) -> String {
        for (suffix, content) in &self.files {
            fs::write(beside(path, suffix), content).unwrap();
        }
        // Not the shared memory: SQLite creates it again when the file is opened.
        let on_disk = self.files.iter().filter(|(suffix, _)| *suffix != "-shm");
        let (suffix, content) = rng.choice(on_disk.collect::<Vec<_>>()).unwrap();
        let target = fs::OpenOptions::new()
            .write(true)
            .open(beside(path, suffix))
            .unwrap();
        let at = rng.u64(..content.len() as u64);
        if rng.u8(..10) == 0 {
            target.set_len(at).unwrap();
            return format!("{}{suffix} is cut at {at}", self.name);
        }
        let old = content[usize::try_from(at).unwrap()];
        let new = old ^ rng.u8(1..);
        target.write_all_at(&[new], at).unwrap();
        format!(
            "byte {at} of {}{suffix} is {new:#04x}, not {old:#04x}",
            self.name
        )
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Makes a mirror with a history, closed, killed with a full WAL, and killed with a WAL that is in the
/// file already.
async fn images(world: &mut World, directory: &Path) -> Vec<Image> {
    let path = directory.join("whole.db");
    let mirror = open(&path).unwrap();
    for round in 0..4 {
        world.change(round);
        world
            .fill(&mirror, 100 + i64::try_from(round).unwrap())
            .await;
    }
    world.events = mirror.events_after(0, usize::MAX >> 1).await.unwrap();
    let killed = Image::take("killed", &path);
    let checkpointer = rusqlite::Connection::open_with_flags(&path, OpenFlags::default()).unwrap();
    checkpointer
        .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
        .unwrap();
    let checkpointed = Image::take("checkpointed", &path);
    drop(checkpointer);
    mirror.close().await;
    vec![Image::take("closed", &path), killed, checkpointed]
}

#[tokio::test]
async fn a_byte_changed_anywhere_gives_out_nothing_wrong_and_is_mended_by_one_sweep() {
    let directory = tempfile::tempdir().unwrap();
    let mut world = World::default();
    let images = images(&mut world, directory.path()).await;
    let (first, count) = (number(SEED_VARIABLE, 0), number(DAMAGES_VARIABLE, DAMAGES));
    let (mut found, mut lost) = (0, 0);
    for seed in first..first + count {
        if (seed - first) % 100 == 99 {
            println!("{} damages so far", seed - first);
        }
        let mut rng = fastrand::Rng::with_seed(seed);
        let place = tempfile::tempdir_in(directory.path()).unwrap();
        let path = place.path().join("mirror.db");
        let what = rng.choice(&images).unwrap().damage(&path, &mut rng);
        let when = format!("seed {seed}: {what}");
        let mut mirror = open(&path).unwrap_or_else(|error| panic!("{when}: {error:?}"));
        if let Err(error) = world.read_all(&mirror, &when).await {
            assert!(error.is_corrupt(), "{when}: {error:?}");
        }
        // A sweep that finds damage ends with it; the new mirror's first sweep is the one that counts.
        let swept = world.sweep(&mirror, 200).await;
        if *mirror.damage().borrow() {
            found += 1;
            mirror.close().await;
            Mirror::rebuild(&path, IDENTITY, UnixMs(1_000_000))
                .unwrap_or_else(|error| panic!("{when}: {error:?}"));
            mirror = open(&path).unwrap();
            world
                .read_all(&mirror, &when)
                .await
                .unwrap_or_else(|error| panic!("{when}: {error:?}"));
            world
                .sweep(&mirror, 200)
                .await
                .unwrap_or_else(|error| panic!("{when}: {error:?}"));
        } else {
            swept.unwrap_or_else(|error| panic!("{when}: {error:?}"));
        }
        world.equals(&mirror, &when).await;
        mirror
            .verify()
            .await
            .unwrap_or_else(|error| panic!("{when}: {error:?}"));
        lost += world.lost_events(&mirror).await;
        mirror.close().await;
    }
    println!(
        "{count} damages, {found} found while open; {lost} of {} events lost in all",
        u64::try_from(world.events.len()).unwrap() * count
    );
}

/// Mirrors everything, changes the closed file by SQL, and opens it again.
async fn changed_by(sql: &str) -> (tempfile::TempDir, World, Mirror) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mirror.db");
    let mut world = World::default();
    world.change(2);
    let mirror = open(&path).unwrap();
    world.fill(&mirror, 100).await;
    mirror.close().await;
    let connection = rusqlite::Connection::open_with_flags(&path, OpenFlags::default()).unwrap();
    connection.execute_batch(sql).unwrap();
    drop(connection);
    (directory, world, open(&path).unwrap())
}

#[tokio::test]
async fn columns_words_and_counts_that_differ_from_the_objects_are_computed_again() {
    let (_directory, world, mirror) = changed_by(
        "UPDATE trials SET status = 'lost', reward = 7 WHERE id = 'run-5-trial-1';
         UPDATE runs SET name = 'other' WHERE id = 'run-6';
         DELETE FROM trial_word WHERE word = 'agent-1';
         UPDATE trial_list SET rows = rows + 3 WHERE run = 'run-7';
         UPDATE tally SET rows = rows + 2, due = 9 WHERE kind = 'evaluation';",
    )
    .await;
    let count = async |question: &str| {
        let query = ListQuery::parse(ListKind::AllTrials, question, 0).unwrap();
        mirror
            .list_all_trials(&query, AgeOfTrials::Unsettled)
            .await
            .unwrap()
            .total
    };
    assert_eq!(
        (count("reward=7").await, count("agent=agent-1").await),
        (1, 0)
    );
    mirror.verify().await.unwrap();
    assert!(!*mirror.damage().borrow());
    assert_eq!(count("reward=7").await, 0);
    assert_eq!(count("agent=AGENT-1").await, 78);
    let named = mirror
        .resolve_run(RunKind::Evaluation, "nightly 6")
        .await
        .unwrap();
    assert_eq!(named, Resolution::Unique("run-6".into()));
    // Which trials are due is what one of two columns said wrongly.
    assert_eq!(mirror.summary(9, None).await.unwrap().trials_due_total, 39);
    world.equals(&mirror, "computed again").await;
    mirror.close().await;
}

#[tokio::test]
async fn what_cannot_be_computed_again_is_damage_to_every_reader() {
    for (sql, what) in [
        (
            "UPDATE runs SET body = replace(body, 'nightly', 'mightly')",
            "runs",
        ),
        (
            "UPDATE trials SET body = replace(body, 'passed', 'failed')",
            "trials",
        ),
        ("UPDATE status_event SET to_status = 'lost'", "events"),
        ("UPDATE note SET value = value || '1'", "notes"),
    ] {
        let (_directory, world, mirror) =
            changed_by(&format!("INSERT INTO note VALUES ('key', '5', 0); {sql};")).await;
        let error = match what {
            "runs" => mirror
                .list_runs(RunKind::Run, &everything())
                .await
                .map(drop),
            "trials" => mirror.trial("run-1", "run-1-trial-0").await.map(drop),
            "events" => mirror.events_after(0, 9).await.map(drop),
            _ => mirror.read_note("key").await.map(drop),
        };
        assert!(error.is_err_and(|error| error.is_corrupt()), "{what}");
        assert!(*mirror.damage().borrow(), "{what}");
        let swept = world.sweep(&mirror, 200).await;
        assert!(swept.is_err_and(|error| error.is_corrupt()), "{what}");
        mirror.close().await;
    }
}

#[tokio::test]
async fn a_rebuild_keeps_what_is_sound_and_fetches_the_rest_again() {
    let (directory, world, mirror) = changed_by(
        "UPDATE runs SET body = '{}' WHERE kind = 'run' AND id = 'run-2';
         UPDATE trials SET body = '{}' WHERE id = 'run-9-trial-4';",
    )
    .await;
    let before = mirror.events_after(0, usize::MAX >> 1).await.unwrap();
    mirror.close().await;
    let path = directory.path().join("mirror.db");
    let aside = Mirror::rebuild(&path, IDENTITY, UnixMs(1_000_000)).unwrap();
    assert!(aside.exists());
    let mirror = open(&path).unwrap();
    let rebuilt = mirror.last_rebuild().await.unwrap().unwrap();
    assert_eq!((rebuilt.runs, rebuilt.trials), (77, 239));
    assert!(rebuilt.whole_history);
    assert_eq!(
        mirror.events_after(0, usize::MAX >> 1).await.unwrap(),
        before
    );
    // Nothing counts as complete that was not swept since, and only what is lost is fetched.
    let summary = mirror.summary(9, None).await.unwrap();
    assert!(summary.lists.iter().all(|list| list.confirmation.is_none()));
    assert_eq!(summary.trials_due_total, 1);
    assert_eq!(summary.trials_due[0].run, "run-9");
    world.sweep(&mirror, 600).await.unwrap();
    world.equals(&mirror, "rebuilt").await;
    mirror.close().await;
}

#[tokio::test]
async fn a_rebuild_that_is_killed_between_two_files_is_finished_by_the_next_open() {
    let (directory, world, mirror) = changed_by("").await;
    mirror.close().await;
    let path = directory.path().join("mirror.db");
    // The damaged file has been moved aside, and the new one is not in its place.
    fs::rename(&path, beside(&path, "-rebuilt")).unwrap();
    let mirror = open(&path).unwrap();
    world.equals(&mirror, "adopted").await;
    mirror.close().await;
    // A rebuilt file beside one that is in use is an old one.
    fs::write(beside(&path, "-rebuilt"), "old").unwrap();
    open(&path).unwrap().close().await;
    assert!(!beside(&path, "-rebuilt").exists());
}

#[tokio::test]
async fn a_damaged_file_of_another_remote_gives_nothing_to_this_one() {
    let (directory, _, mirror) = changed_by("").await;
    mirror.close().await;
    let path = directory.path().join("mirror.db");
    // A page of an index, so that the file has to be rebuilt.
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0xff; 64], 5 * 4_096).unwrap();
    Mirror::rebuild(
        &path,
        "https://api.example/tenants/other",
        UnixMs(1_000_000),
    )
    .unwrap();
    let (mirror, _) = Mirror::open(
        &path,
        "https://api.example/tenants/other",
        UnixMs(1_000_000),
    )
    .unwrap();
    let listed = mirror.list_runs(RunKind::Run, &everything()).await.unwrap();
    assert_eq!((listed.total, &listed.body[..]), (0, &b"[]"[..]));
    assert_eq!(mirror.events_after(0, 9).await.unwrap(), []);
    mirror.close().await;
}

#[tokio::test]
async fn a_damaged_identity_is_damage_and_not_another_remote() {
    let (directory, world, mirror) = changed_by("").await;
    mirror.close().await;
    let path = directory.path().join("mirror.db");
    let connection = rusqlite::Connection::open_with_flags(&path, OpenFlags::default()).unwrap();
    let sql = "UPDATE identity SET remote = replace(remote, 'api', 'bpi')";
    connection.execute_batch(sql).unwrap();
    drop(connection);
    let mirror = open(&path).unwrap();
    world.equals(&mirror, "with its own identity").await;
    mirror.close().await;
}
