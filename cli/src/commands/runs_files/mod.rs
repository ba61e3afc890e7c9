//! `docks runs files`: every file of a trial, or of a run and its trials.

mod tree;

use docks_artifacts::ArtifactType;
use docks_artifacts::TrialArtifacts;
use docks_artifacts::cache::Cache;
use docks_artifacts::source::{Sources, display_uri, is_local};
use docks_proto::file_list::ListedFile;
use docks_proto::object::parse_list;
use docks_proto::query::ListQuery;
use futures_util::{StreamExt, stream};
use indicatif::HumanBytes;
use serde::Serialize;

use crate::args::{Format, RunsFiles};
use crate::ask::{Request, Requester, Response};
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::output::clean;
use crate::output::figures::count;

use super::artifact_selection::{self, LISTS_AT_ONCE};
use super::file_lists::FileLists;
use super::{artifact_sources, print_object};

/// Lists files.
///
/// # Errors
///
/// Why the run, the trial or their files cannot be listed.
pub(super) async fn run(context: &Context, args: &RunsFiles) -> Result<(), Failure> {
    let requester = Requester::new(context)?;
    let mut run = artifact_selection::find_run(context, &requester, &args.run_id).await?;
    let lists = FileLists::new(context, &requester, run.is_harbor_job);
    let (run_id, lists) = (run.id.clone(), &lists);
    let mut printer = Printer {
        context,
        types: artifact_selection::artifact_types(&args.types),
        downloads: None,
        several: args.trial_id.is_none(),
        totals: Totals::default(),
        json: Vec::new(),
        has_header: false,
    };
    let response;
    if let Some(given) = &args.trial_id {
        let request = Request::Trial(&run_id, given);
        response = requester.request(request).await?;
        print_object::report_age(context, &response.freshness);
        let body = print_object::body_text(&response.body);
        let mut trial = TrialArtifacts::from_object(&print_object::parse_object(&body)?);
        let id = trial.id.clone();
        let left_out = lists.complete(&run_id, Some(&id), &mut trial).await?;
        printer.open_downloads(&requester, &trial)?;
        printer.print(&trial, &left_out);
    } else {
        let left_out = lists.complete(&run_id, None, &mut run.artifacts).await?;
        let all = ListQuery {
            limit: 0,
            ..ListQuery::default()
        };
        response = requester.request(Request::Trials(&run_id, &all)).await?;
        print_object::report_age(context, &response.freshness);
        let trials = parse_list(&response.body)
            .map_err(|error| Failure::chain(Kind::Failed, "could not read the trials", &error))?;
        printer.open_downloads(&requester, &run.artifacts)?;
        printer.print(&run.artifacts, &left_out);
        // In the order of the trials, and never more of them in memory than are requested at once.
        let run_id = &run_id;
        let mut completing = stream::iter(trials.objects)
            .map(|object| async move {
                let mut trial = TrialArtifacts::from_object(&object);
                let id = trial.id.clone();
                let left_out = lists.complete(run_id, Some(&id), &mut trial).await?;
                Ok::<_, Failure>((trial, left_out))
            })
            .buffered(LISTS_AT_ONCE);
        while let Some(listed) = completing.next().await {
            let (trial, left_out) = listed?;
            printer.open_downloads(&requester, &trial)?;
            printer.print(&trial, &left_out);
            if context.output.stdout_is_closed() {
                return Ok(());
            }
        }
    }
    printer.finish(&response, args)
}

/// One file in JSON.
#[derive(Serialize)]
struct Row<'a> {
    /// Empty for a file of the run itself.
    trial: &'a str,
    path: &'a str,
    r#type: &'a str,
    size_bytes: Option<u64>,
    modified_at: Option<&'a str>,
    /// Its address, without signatures.
    source: String,
    /// Whether it can be read without the remote.
    cached: bool,
}

#[derive(Debug, Default)]
struct Totals {
    files: usize,
    bytes: u64,
    unknown_sizes: usize,
    others: usize,
}

struct Printer<'a> {
    context: &'a Context,
    /// Types to be listed; empty for all.
    types: Vec<ArtifactType>,
    /// Where downloaded files are; `None` before the first file that is not local.
    downloads: Option<(Sources, Cache)>,
    /// Whether trials need headings.
    several: bool,
    totals: Totals,
    json: Vec<String>,
    has_header: bool,
}

impl Printer<'_> {
    /// Opens the cache, if these files are not on this machine.
    fn open_downloads(
        &mut self,
        requester: &Requester<'_>,
        owner: &TrialArtifacts,
    ) -> Result<(), Failure> {
        let remote = &requester.remote;
        let uris = || owner.files.iter().map(|file| file.uri.as_str());
        if self.downloads.is_none() && uris().any(|uri| !is_local(uri)) {
            // What is cached is told without a token.
            let sources = artifact_sources::sources(remote, uris())?;
            let cache = artifact_sources::open_cache(&remote.endpoint.places, self.context.now)?;
            self.downloads = Some((sources, cache));
        }
        Ok(())
    }

    fn is_cached(&self, file: &ListedFile) -> bool {
        let Some((sources, cache)) = &self.downloads else {
            return is_local(&file.uri);
        };
        let key = sources.cache_key(&file.uri);
        let known = cache.address_record(&key.hash);
        is_local(&file.uri) || known.is_some_and(|known| cache.has(&known.sha256))
    }

    fn is_wanted(&self, file: &ListedFile) -> bool {
        let kind = ArtifactType::from_name(&file.r#type).unwrap_or(ArtifactType::Other);
        self.types.is_empty() || self.types.contains(&kind)
    }

    fn print(&mut self, owner: &TrialArtifacts, left_out: &[String]) {
        let files: Vec<&ListedFile> = owner.files.iter().filter(|f| self.is_wanted(f)).collect();
        self.totals.files += files.len();
        self.totals.others += owner.files.len() - files.len();
        for file in &files {
            match file.size_bytes {
                Some(bytes) => self.totals.bytes += bytes,
                None => self.totals.unknown_sizes += 1,
            }
        }
        let output = &self.context.output;
        match (self.context.global.format, output.style().width) {
            (Format::Table, Some(width)) => {
                let heading = match owner.id.as_str() {
                    "" => "the run's own files",
                    id => id,
                };
                let heading = self.several.then_some(heading);
                let cached = |file: &ListedFile| self.downloads.is_some() && self.is_cached(file);
                if !files.is_empty() {
                    let colour = output.style().colour;
                    output.data(tree::render(heading, &files, cached, width, colour));
                }
            }
            (Format::Table | Format::Tsv | Format::Markdown | Format::Csv | Format::Latex, _) => {
                let header = self.context.global.format == Format::Tsv;
                if header && !std::mem::replace(&mut self.has_header, true) {
                    output.line("path\tsize_bytes\ttype\ttrial\tmodified_at\tcached");
                }
                for file in files {
                    output.line(format!(
                        "{}\t{}\t{}\t{}\t{}\t{}",
                        clean::line(&file.path),
                        file.size_bytes
                            .map_or_else(String::new, |size| size.to_string()),
                        clean::line(&file.r#type),
                        clean::line(&owner.id),
                        clean::line(file.modified_at.as_deref().unwrap_or_default()),
                        self.is_cached(file)
                    ));
                }
            }
            (Format::Json, _) => {
                let rows: Vec<String> = files.iter().map(|file| self.row(owner, file)).collect();
                self.json.extend(rows);
            }
            (Format::Jsonl, _) => {
                for file in files {
                    output.line(self.row(owner, file));
                }
            }
        }
        for sentence in left_out {
            let whose = match owner.id.as_str() {
                "" => "the run".to_owned(),
                id => format!("trial `{id}`"),
            };
            output.note(format!("{whose}: {sentence}"));
        }
    }

    fn row(&self, owner: &TrialArtifacts, file: &ListedFile) -> String {
        let row = Row {
            trial: &owner.id,
            path: &file.path,
            r#type: &file.r#type,
            size_bytes: file.size_bytes,
            modified_at: file.modified_at.as_deref(),
            source: display_uri(&file.uri),
            cached: self.is_cached(file),
        };
        serde_json::to_string(&row).expect("strings and numbers can be serialised as JSON")
    }

    fn finish(&self, response: &Response, args: &RunsFiles) -> Result<(), Failure> {
        let output = &self.context.output;
        if self.context.global.format == Format::Json {
            let list = format!("[{}]", self.json.join(","));
            // Its total counts trials.
            let response = Response {
                total: None,
                ..response.clone()
            };
            print_object::print_json(self.context, &list, &response);
        }
        output.flush()?;
        let totals = &self.totals;
        if totals.files == 0 {
            let owner = match &args.trial_id {
                Some(trial) => format!("trial `{trial}`"),
                None => format!("run `{}`", args.run_id),
            };
            output.message(match totals.others {
                0 => format!("{owner} has no files yet"),
                others => format!(
                    "{owner} has no such files, but {}",
                    count(others as u64, "other")
                ),
            });
        } else if output.style().width.is_some() {
            let mut line = count(totals.files as u64, "file");
            line.push_str(&format!(", {}", HumanBytes(totals.bytes)));
            if totals.unknown_sizes > 0 {
                line.push_str(&format!(", and {} of unknown size", totals.unknown_sizes));
            }
            output.message(line);
        }
        Ok(())
    }
}
