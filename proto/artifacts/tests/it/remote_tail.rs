//! Files elsewhere that grow while they are read: what comes is moved once, and shown right.

use std::io::{Read, Seek, Write};

use super::resume::{kinds, serve_kinds};
use super::server::{Answer, Object, Server};
use super::*;
use docks_artifacts::remote_tail::{Growing, Grown};

/// A log of which the beginning was read, and the places where it lies.
struct World {
    object: Object,
    server: Server,
    home: tempfile::TempDir,
}

impl World {
    async fn new(content: &[u8]) -> Self {
        let object = Object::new(content.to_vec(), |_| usize::MAX);
        Self {
            server: serve_kinds(&object).await,
            object,
            home: tempfile::tempdir().unwrap(),
        }
    }

    fn becomes(&self, content: &[u8], tag: &str) {
        *self.object.now.lock().unwrap() = (content.to_vec(), tag.to_owned());
    }

    fn sent(&self) -> usize {
        std::mem::take(&mut *self.object.sent.lock().unwrap())
    }

    fn after(&self, uri: &str, read: &[u8], from_bytes: u64) -> Growing {
        let mut first = tempfile::tempfile().unwrap();
        first.write_all(read).unwrap();
        Growing::after(uri, first, from_bytes, &cache(self.home.path())).unwrap()
    }
}

fn aside(growing: &Growing) -> Vec<u8> {
    let (mut file, mut all) = (growing.file().unwrap(), Vec::new());
    file.rewind().unwrap();
    file.read_to_end(&mut all).unwrap();
    all
}

#[tokio::test]
async fn only_what_came_is_moved_from_every_kind_of_place() {
    let first = [b"line\n".repeat(100_000), b"par".to_vec()].concat();
    for kind in 0..3 {
        let world = World::new(&first).await;
        let (uri, sources) = &kinds(&world.server)[kind];
        let mut growing = world.after(uri, &first, first.len() as u64 - 3);
        let longer = [&first[..], b"t two\nthree\n"].concat();
        world.becomes(&longer, "\"v2\"");
        assert_eq!(growing.look(sources).await.unwrap(), Grown::On, "{uri}");
        assert_eq!(aside(&growing), b"part two\nthree\n", "{uri}");
        assert!(world.sent() <= 2_048, "{uri}");
        assert_eq!(growing.look(sources).await.unwrap(), Grown::On, "{uri}");
        assert_eq!(world.sent(), 0, "{uri}: it is still that version");
        assert_eq!(aside(&growing), b"part two\nthree\n", "{uri}");
    }
}

#[tokio::test]
async fn one_that_was_begun_anew_comes_from_its_beginning() {
    for (read, new) in [
        (&b"old one\nold two\n"[..], &b"new\n"[..]),
        (b"old one\n", b"new one\n"),
        (b"old one\n", b"new one\nnew two\n"),
        (b"old one\n", b""),
    ] {
        for kind in 0..3 {
            let world = World::new(read).await;
            let (uri, sources) = &kinds(&world.server)[kind];
            let mut growing = world.after(uri, read, read.len() as u64);
            world.becomes(new, "\"v2\"");
            assert_eq!(growing.look(sources).await.unwrap(), Grown::Anew, "{uri}");
            assert_eq!(aside(&growing), new, "{uri}");
            let longer = [new, b"more\n"].concat();
            world.becomes(&longer, "\"v3\"");
            assert_eq!(growing.look(sources).await.unwrap(), Grown::On, "{uri}");
            assert_eq!(aside(&growing), longer, "{uri}");
        }
    }
}

#[tokio::test]
async fn a_place_without_ranges_is_read_whole_and_nothing_comes_twice() {
    let now = |text: &str| Box::new(Answer::Nameless(text.as_bytes().to_vec()));
    let answer = Answer::Then(now("one\ntwo\n"), now("one\ntwo\nthree\n"));
    let server = Server::start(&[("/x", answer)]).await;
    let world = World::new(b"").await;
    let mut growing = world.after(&format!("{}/x", server.url), b"one\n", 4);
    for expected in [&b"two\n"[..], b"two\nthree\n"] {
        assert_eq!(growing.look(&usual()).await.unwrap(), Grown::On);
        assert_eq!(aside(&growing), expected);
    }
}

#[tokio::test]
async fn a_server_that_starts_again_is_waited_for_and_a_refusal_is_not() {
    let busy = || Box::new(Answer::Status(503));
    let then = Box::new(Answer::Whole(b"one\ntwo\n".to_vec()));
    let answer = Answer::Then(busy(), Box::new(Answer::Then(busy(), then)));
    let server = Server::start(&[("/x", answer), ("/no", Answer::Status(403))]).await;
    let world = World::new(b"").await;
    let mut growing = world.after(&format!("{}/x", server.url), b"one\n", 4);
    for expected in [&b""[..], b"", b"two\n"] {
        assert_eq!(growing.look(&usual()).await.unwrap(), Grown::On);
        assert_eq!(aside(&growing), expected);
    }
    let mut refused = world.after(&format!("{}/no", server.url), b"one\n", 4);
    assert!(refused.look(&usual()).await.is_err());
    let mut gone = world.after("http://127.0.0.1:1/x", b"one\n", 4);
    let mut looks = 0;
    while gone.look(&usual()).await.is_ok() {
        looks += 1;
        assert!(looks < 100, "it ends at some time");
    }
}
