//! Remote files that grow while they are read: new bytes are transferred once and are right.

use std::io::{Read, Seek, Write};

use super::resume::{kinds, serve_kinds};
use super::server::{Answer, Object, Server};
use super::*;
use docks_artifacts::remote_tail::{RemoteTail, TailChange};

/// A log whose beginning was read, and the server that has it.
struct TestSetup {
    object: Object,
    server: Server,
    home: tempfile::TempDir,
}

impl TestSetup {
    async fn new(content: &[u8]) -> Self {
        let object = Object::new(content.to_vec(), |_| usize::MAX);
        Self {
            server: serve_kinds(&object).await,
            object,
            home: tempfile::tempdir().unwrap(),
        }
    }

    fn set_content(&self, content: &[u8], tag: &str) {
        *self.object.now.lock().unwrap() = (content.to_vec(), tag.to_owned());
    }

    fn sent(&self) -> usize {
        std::mem::take(&mut *self.object.sent.lock().unwrap())
    }

    fn after(&self, uri: &str, read: &[u8], from_bytes: u64) -> RemoteTail {
        let mut first = tempfile::tempfile().unwrap();
        first.write_all(read).unwrap();
        RemoteTail::after(uri, first, from_bytes, &cache(self.home.path())).unwrap()
    }
}

fn new_bytes(tail: &RemoteTail) -> Vec<u8> {
    let (mut file, mut all) = (tail.file().unwrap(), Vec::new());
    file.rewind().unwrap();
    file.read_to_end(&mut all).unwrap();
    all
}

#[tokio::test]
async fn only_new_bytes_are_transferred_from_every_kind_of_source() {
    let first = [b"line\n".repeat(100_000), b"par".to_vec()].concat();
    for kind in 0..3 {
        let setup = TestSetup::new(&first).await;
        let (uri, sources) = &kinds(&setup.server)[kind];
        let mut tail = setup.after(uri, &first, first.len() as u64 - 3);
        let longer = [&first[..], b"t two\nthree\n"].concat();
        setup.set_content(&longer, "\"v2\"");
        assert_eq!(
            tail.poll(sources).await.unwrap(),
            TailChange::Appended,
            "{uri}"
        );
        assert_eq!(new_bytes(&tail), b"part two\nthree\n", "{uri}");
        assert!(setup.sent() <= 2_048, "{uri}");
        assert_eq!(
            tail.poll(sources).await.unwrap(),
            TailChange::Appended,
            "{uri}"
        );
        assert_eq!(setup.sent(), 0, "{uri}: it is still that version");
        assert_eq!(new_bytes(&tail), b"part two\nthree\n", "{uri}");
    }
}

#[tokio::test]
async fn a_replaced_file_is_read_from_its_beginning() {
    for (read, new) in [
        (&b"old one\nold two\n"[..], &b"new\n"[..]),
        (b"old one\n", b"new one\n"),
        (b"old one\n", b"new one\nnew two\n"),
        (b"old one\n", b""),
    ] {
        for kind in 0..3 {
            let setup = TestSetup::new(read).await;
            let (uri, sources) = &kinds(&setup.server)[kind];
            let mut tail = setup.after(uri, read, read.len() as u64);
            setup.set_content(new, "\"v2\"");
            assert_eq!(
                tail.poll(sources).await.unwrap(),
                TailChange::Restarted,
                "{uri}"
            );
            assert_eq!(new_bytes(&tail), new, "{uri}");
            let longer = [new, b"more\n"].concat();
            setup.set_content(&longer, "\"v3\"");
            assert_eq!(
                tail.poll(sources).await.unwrap(),
                TailChange::Appended,
                "{uri}"
            );
            assert_eq!(new_bytes(&tail), longer, "{uri}");
        }
    }
}

#[tokio::test]
async fn a_server_without_ranges_sends_everything_and_no_byte_is_returned_twice() {
    let now = |text: &str| Box::new(Answer::Nameless(text.as_bytes().to_vec()));
    let answer = Answer::Then(now("one\ntwo\n"), now("one\ntwo\nthree\n"));
    let server = Server::start(&[("/x", answer)]).await;
    let setup = TestSetup::new(b"").await;
    let mut tail = setup.after(&format!("{}/x", server.url), b"one\n", 4);
    for expected in [&b"two\n"[..], b"two\nthree\n"] {
        assert_eq!(
            tail.poll(&default_sources()).await.unwrap(),
            TailChange::Appended
        );
        assert_eq!(new_bytes(&tail), expected);
    }
}

#[tokio::test]
async fn a_server_that_restarts_is_retried_and_a_refusal_is_not() {
    let busy = || Box::new(Answer::Status(503));
    let then = Box::new(Answer::Whole(b"one\ntwo\n".to_vec()));
    let answer = Answer::Then(busy(), Box::new(Answer::Then(busy(), then)));
    let server = Server::start(&[("/x", answer), ("/no", Answer::Status(403))]).await;
    let setup = TestSetup::new(b"").await;
    let mut tail = setup.after(&format!("{}/x", server.url), b"one\n", 4);
    for expected in [&b""[..], b"", b"two\n"] {
        assert_eq!(
            tail.poll(&default_sources()).await.unwrap(),
            TailChange::Appended
        );
        assert_eq!(new_bytes(&tail), expected);
    }
    let mut refused = setup.after(&format!("{}/no", server.url), b"one\n", 4);
    assert!(refused.poll(&default_sources()).await.is_err());
    let mut gone = setup.after("http://127.0.0.1:1/x", b"one\n", 4);
    let mut looks = 0;
    while gone.poll(&default_sources()).await.is_ok() {
        looks += 1;
        assert!(looks < 100, "the failures are limited");
    }
}
