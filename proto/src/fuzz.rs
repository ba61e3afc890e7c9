//! Fuzz targets: what this crate reads of strangers. The corpora are below `tests/corpus`.

use std::path::Path;

use docks_fuzz::fuzz;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::client::EventMessage;
use crate::client::body::{parse_list, parse_object};
use crate::client::unix::LineBuffer;
use crate::comparison::CompareQuery;
use crate::event::{Event, EventQuery, ObjectState};
use crate::failures::FailuresQuery;
use crate::file_list::FileList;
use crate::freshness::{CachePolicy, Freshness};
use crate::object::{RawObject, RunFields, TrialFields};
use crate::query::{ListKind, ListQuery, Parameters, Row, apply_query};
use crate::routes::{RunKind, TenantRoutes};
use crate::settings::{ConfigFile, Preferences, remove_profile, set_default_profile, set_profile};
use crate::trial::Trial;
use crate::{clean, error, id, path_encoding, repair};

const CRATE: &str = env!("CARGO_MANIFEST_DIR");

/// The first line is a query string, the others are headers.
#[test]
fn fuzz_request_parser() {
    fuzz(CRATE, "tests/corpus/requests", |input| {
        let text = String::from_utf8_lossy(input);
        let (query, rest) = text.split_once('\n').unwrap_or((&text, ""));
        for kind in [ListKind::Runs, ListKind::Trials, ListKind::AllTrials] {
            if let Ok(list) = ListQuery::parse(kind, query, 20) {
                let again = ListQuery::parse(kind, &list.query_string(kind), 20);
                assert_eq!(again.as_ref(), Ok(&list));
            }
        }
        if let Ok(events) = EventQuery::parse(query) {
            let path = events.path();
            let again = path.split_once('?').map_or("", |(_, query)| query);
            assert_eq!(EventQuery::parse(again), Ok(events));
        }
        drop(FailuresQuery::parse(query));
        if let Ok(parameters) = Parameters::parse(query) {
            drop(CompareQuery::from_parameters(&parameters));
            for name in ["since", "until"] {
                drop(parameters.time(name));
            }
        }
        for part in query.split(['/', '&', '=', '?']) {
            let encoded = id::path_segment(part);
            assert!(encoded.is_err() || !encoded.unwrap().contains(['/', '?', '#', ' ']));
            drop(TenantRoutes::new(part).map(|routes| routes.run(RunKind::Run, part)));
            let path = path_encoding::decode_path(part);
            assert_eq!(
                path_encoding::decode_path(&path_encoding::encode_path(&path)),
                path
            );
            drop(path_encoding::decode_paths(part));
        }
        let mut headers = HeaderMap::new();
        for line in rest.lines() {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let name = HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value.trim())) {
                headers.append(name, value);
            }
        }
        let policy = CachePolicy::from_headers(&headers);
        drop(policy.to_header_value());
        if let Some(freshness) = Freshness::from_headers(&headers) {
            let mut written = HeaderMap::new();
            freshness.write_headers(&mut written);
            assert_eq!(
                Freshness::from_headers(&written).map(|f| f.answered_by),
                Some(freshness.answered_by)
            );
        }
    });
}

/// A list or an object of a Docks API, and everything that is read from it.
#[test]
fn fuzz_object_fields() {
    fuzz(CRATE, "tests/corpus/objects", |input| {
        drop(error::parse_error_body(input));
        drop(FileList::parse(input));
        let mut objects = match parse_list(input) {
            Ok(list) => list.objects,
            Err(_) => Vec::new(),
        };
        objects.extend(parse_object(input, "r-1"));
        for object in &objects {
            // What is stored is read later, by parsers with a limit of depth. Numbers may be too large for some.
            assert!(repair::parse::<serde_json::Value>(object.text()).is_some());
            let (run, trial) = (RunFields::from_object(object), Trial::from_object(object));
            assert_eq!(trial.fields, TrialFields::from_object(object));
            drop((
                run,
                trial.reward(),
                trial.tokens(),
                trial.error_type(),
                trial.artifacts(),
            ));
            drop((Row::from_run(object), Row::from_trial(object)));
            drop(ObjectState::from_run(RunKind::Evaluation, object));
            drop(ObjectState::from_trial("r-1", object));
            for odd in repair::odd_values(object.text(), 20) {
                assert!(!odd.what.is_empty());
            }
            let named = object.with_text_member("remote", "a\"b");
            assert!(RawObject::parse(named.text()).is_ok());
        }
        for kind in [ListKind::Runs, ListKind::Trials] {
            let query = ListQuery {
                search: Some("a".to_owned()),
                ..ListQuery::default()
            };
            drop(apply_query(kind, objects.clone(), &query));
        }
    });
}

/// Any text that is printed in a terminal.
#[test]
fn fuzz_sanitiser() {
    fuzz(CRATE, "tests/corpus/texts", |input| {
        let text = String::from_utf8_lossy(input);
        let line = clean::line(&text);
        let is_harmful = |c: char| c.is_control() || clean::is_deceptive(c);
        assert!(!line.contains(is_harmful), "{line:?}");
        assert_eq!(clean::line(&line), line);
        let with_tabs = clean::text_with_tabs(input);
        assert!(
            !with_tabs.contains(|c| is_harmful(c) && c != '\t'),
            "{with_tabs:?}"
        );
        let mended = repair::repaired(&text);
        assert_eq!(repair::repaired(&mended), mended);
    });
}

/// The bytes of an event stream, in pieces of any length.
#[test]
fn fuzz_event_stream() {
    fuzz(CRATE, "tests/corpus/events", |input| {
        let read = |piece_bytes: usize| {
            let (mut buffer, mut lines) = (LineBuffer::default(), Vec::new());
            for piece in input.chunks(piece_bytes) {
                buffer.push(piece);
                lines.extend(std::iter::from_fn(|| buffer.next_line()));
            }
            lines.push(buffer.take_rest());
            lines
        };
        let lines = read(usize::MAX);
        assert_eq!(lines, read(1));
        assert_eq!(lines, read(7));
        assert!(lines.iter().map(|line| line.len() + 1).sum::<usize>() == input.len() + 1);
        let messages = lines
            .iter()
            .filter_map(|line| EventMessage::from_line(line));
        for message in messages.flatten() {
            let written = serde_json::to_string(&message.event).unwrap();
            assert!(serde_json::from_str::<Event>(&written).is_ok());
        }
    });
}

/// `config.toml` and `docks.toml`: what is read, and that an edit of a valid file leaves a valid file.
#[test]
fn fuzz_settings_files() {
    fuzz(CRATE, "tests/corpus/settings", |input| {
        let text = String::from_utf8_lossy(input);
        let path = Path::new("config.toml");
        drop(Preferences::parse(path, &text));
        let Ok(file) = ConfigFile::parse(path, &text) else {
            return;
        };
        for name in file.profile_names() {
            drop(file.profile(&name));
            let changes = [("api_url", Some("https://a.example")), ("token", None)];
            if let Ok(edited) = set_profile(path, &text, &name, &changes) {
                let edited = ConfigFile::parse(path, &edited).unwrap();
                assert_eq!(edited.profile_names(), file.profile_names());
            }
            let without = remove_profile(path, &text, &name).unwrap();
            assert!(ConfigFile::parse(path, &without).is_ok());
        }
        if let Ok(edited) = set_default_profile(path, &text, Some("default")) {
            assert!(Preferences::parse(path, &edited).is_ok());
        }
    });
}
