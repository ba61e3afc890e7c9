//! `docks auth status`: the remote, the token, and whether the remote accepts it.

use docks_proto::client::ClientError;
use docks_proto::settings::Target;

use super::token_check::{self, ConnectionOptions};
use crate::ask::SelectedRemote;
use crate::context::Context;
use crate::environment::Environment;
use crate::failure::{Answerer, Failure, Kind};

/// Prints the selected profile; fails if it has no token or the remote rejects it.
pub(super) async fn run(context: &Context) -> Result<(), Failure> {
    let remote = SelectedRemote::new(&context.global, Environment::of_process())?;
    let mut rows = vec![row("profile", &remote.profile.name)];
    let (api_url, tenant) = match &remote.profile.target {
        Target::DocksApi { api_url, tenant } => (api_url, tenant),
        Target::HarborServer { url } => {
            rows.push(row("harbor_server", url));
            let token = match &remote.profile.inline_token_from {
                Some(origin) => origin.to_string(),
                None => "none, which a server without a key accepts".to_owned(),
            };
            rows.push(row("token", &token));
            super::print_facts(context, &rows);
            return Ok(());
        }
        jobs @ Target::HarborJobs { .. } => {
            rows.push(row("harbor_jobs", &jobs.to_string()));
            rows.push(row("token", "not needed"));
            super::print_facts(context, &rows);
            return Ok(());
        }
    };
    rows.push(row("api_url", api_url));
    rows.push(row("tenant_id", tenant));
    let outcome = match remote.token() {
        Err(failure) => {
            rows.push(row("token", "none"));
            Err(failure)
        }
        Ok(found) => {
            rows.push(row("token", &found.location.to_string()));
            let options = ConnectionOptions {
                insecure: remote.profile.insecure,
                trust: remote.profile.trust.clone(),
            };
            let result = token_check::request_one_run(
                &context.output,
                api_url,
                tenant,
                &found.token,
                &options,
            )
            .await;
            let (verdict, outcome) = describe(result);
            rows.push(row("remote", &verdict));
            outcome
        }
    };
    super::print_facts(context, &rows);
    outcome
}

fn describe(result: Result<(), ClientError>) -> (String, Result<(), Failure>) {
    match result {
        Ok(()) => ("accepts the token".to_owned(), Ok(())),
        Err(error) => {
            let failure = Failure::from_client_error(&error, Answerer::Remote);
            let verdict = match failure.kind {
                Kind::Auth => "rejects the token",
                Kind::Unreachable => "cannot be reached",
                _ => "does not respond correctly",
            };
            (verdict.to_owned(), Err(failure))
        }
    }
}

fn row(what: &str, value: &str) -> Vec<String> {
    vec![what.to_owned(), value.to_owned()]
}
