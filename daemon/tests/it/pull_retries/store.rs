//! An object store on loopback that gives the logs of trials, or does not.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// How a store answers a request for a trial's log.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Answer {
    /// The whole log, which holds the id of its trial.
    Log,
    /// It closes the connection.
    Nothing,
    /// There is no such object.
    Missing,
    /// One byte after the other, until the store answers in another way.
    Slowly,
}

/// How a store answers, by trial.
type Answers = Box<dyn Fn(&str) -> Answer + Send>;

/// A store; it answers until the test process exits.
#[derive(Clone)]
pub(super) struct Store {
    pub(super) url: String,
    answers: Arc<Mutex<Answers>>,
    /// Notified when it answers in another way.
    changed: Arc<Condvar>,
    /// The trials that were asked for.
    requests: Arc<Mutex<Vec<String>>>,
}

impl Store {
    pub(super) fn start(answers: impl Fn(&str) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let store = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            answers: Arc::new(Mutex::new(Box::new(answers))),
            changed: Arc::default(),
            requests: Arc::default(),
        };
        let serving = store.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let store = serving.clone();
                std::thread::spawn(move || store.respond(stream).ok());
            }
        });
        store
    }

    pub(super) fn set(&self, answers: impl Fn(&str) -> Answer + Send + 'static) {
        *self.answers.lock().unwrap() = Box::new(answers);
        self.changed.notify_all();
    }

    fn answer(&self, trial: &str) -> Answer {
        (self.answers.lock().unwrap())(trial)
    }

    /// Returns how often the logs of trials were asked for whose ids start like this.
    pub(super) fn requests(&self, trials: &str) -> usize {
        let requests = self.requests.lock().unwrap();
        requests.iter().filter(|id| id.starts_with(trials)).count()
    }

    fn respond(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut head = String::new();
        for line in BufReader::new(stream.try_clone()?).lines() {
            let line = line?;
            if line.is_empty() {
                break;
            }
            head.push_str(&line);
        }
        // `/bucket/trials%2FID%2Flogs%2Etxt`
        let trial = head.split("%2F").nth(1).unwrap_or_default().to_owned();
        let answer = self.answer(&trial);
        // The client asks for the generation first, and for the content if there is one.
        let is_generation = head.contains("fields=generation");
        if is_generation && matches!(answer, Answer::Log | Answer::Slowly) {
            let text = r#"{"generation":"1"}"#;
            let length = text.len();
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            return stream.write_all(format!("{head}{text}").as_bytes());
        }
        if !is_generation {
            self.requests.lock().unwrap().push(trial.clone());
        }
        let body = format!("log of {trial:60}");
        match answer {
            Answer::Nothing => Ok(()),
            Answer::Missing => stream
                .write_all(b"HTTP/1.1 404 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
            how => {
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nETag: \"1\"\r\n\
                     Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\nConnection: close\r\n\r\n"
                );
                stream.write_all(head.as_bytes())?;
                let (mut sent, slow) = (0, how == Answer::Slowly);
                while slow && self.answer(&trial) == Answer::Slowly {
                    // All but the last byte, which comes when the store is quick again.
                    if sent + 1 < length {
                        stream.write_all(&body.as_bytes()[sent..=sent])?;
                        sent += 1;
                    }
                    let answers = self.answers.lock().unwrap();
                    let pause = Duration::from_millis(200);
                    drop(self.changed.wait_timeout(answers, pause).unwrap());
                }
                stream.write_all(&body.as_bytes()[sent..])
            }
        }
    }
}
