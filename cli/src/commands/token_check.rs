//! Checks a token with the remote, before it is saved and for `docks auth status`.

use std::path::{Path, PathBuf};

use docks_proto::client::{Client, ClientError, HttpsTransport, Limits, Transport, ca_file};
use docks_proto::freshness::CachePolicy;
use docks_proto::query::ListQuery;
use docks_proto::routes::RunKind;
use docks_proto::secret::Token;
use docks_proto::settings::StoredProfile;
use http::HeaderMap;

use super::profile_files::stored_remote;
use crate::ask::with_notice;
use crate::context::Context;
use crate::failure::{Answerer, Failure, Kind};
use crate::output::Output;

/// How to connect to a Docks API.
#[derive(Debug, Clone, Default)]
pub(super) struct ConnectionOptions {
    /// Allow plain `http://` to another machine.
    pub(super) insecure: bool,
    /// PEM file with certificates to trust in addition to the system's.
    pub(super) ca_file: Option<PathBuf>,
}

/// Returns the PEM file to trust: that of the option, else the one stored for this address.
pub(super) fn resolve_ca_file(
    option: Option<&Path>,
    stored: &StoredProfile,
    api_url: &str,
) -> Result<Option<PathBuf>, Failure> {
    let Some(path) = option else {
        let same = stored_remote(stored).is_some_and(|(url, _)| url == api_url);
        return Ok(stored.ca_file.clone().filter(|_| same));
    };
    let real = path.canonicalize().map_err(|error| {
        Failure::usage(format!("cannot use --ca-file {}: {error}", path.display()))
    })?;
    ca_file::read_certificates(&real).map_err(|problem| Failure::usage(problem.to_string()))?;
    Ok(Some(real))
}

/// Returns a path as text, which settings files hold.
pub(super) fn path_text(path: Option<&Path>) -> Result<Option<&str>, Failure> {
    path.map(|path| {
        path.to_str()
            .ok_or_else(|| Failure::usage(format!("{} is not valid UTF-8", path.display())))
    })
    .transpose()
}

/// Checks a new token with the remote.
///
/// # Errors
///
/// When the remote rejects the token. A remote that cannot be reached only causes a warning.
pub(super) async fn check(
    context: &Context,
    api_url: &str,
    tenant: &str,
    token: &Token,
    options: &ConnectionOptions,
) -> Result<(), Failure> {
    match request_one_run(&context.output, api_url, tenant, token, options).await {
        Ok(()) => Ok(()),
        Err(ClientError::Refused { status, .. }) if matches!(status, 401 | 403) => {
            Err(Failure::new(
                Kind::Auth,
                format!("{api_url} rejected this token for tenant `{tenant}` ({status})"),
            )
            .hint("nothing was saved; check the token, the tenant and the address"))
        }
        Err(error) => {
            let cause = Failure::chain(
                Kind::Failed,
                "the token is saved but could not be checked",
                &error,
            );
            context.output.warn(cause.message);
            Ok(())
        }
    }
}

/// Requests one run, which is the smallest request that needs a token.
pub(super) async fn request_one_run(
    output: &Output,
    api_url: &str,
    tenant: &str,
    token: &Token,
    options: &ConnectionOptions,
) -> Result<(), ClientError> {
    let limits = Limits {
        insecure: options.insecure,
        ..Limits::default()
    };
    let transport = HttpsTransport::new(api_url, Some(token.clone()), limits)?;
    let ca_file = options.ca_file.clone();
    let transport = transport.with_ca_file(move || ca_file.clone());
    let client = Client::new(
        Transport::Https(Box::new(transport)),
        tenant,
        HeaderMap::new(),
    )?;
    let query = ListQuery {
        limit: 1,
        ..ListQuery::default()
    };
    let asking = client.list_runs(RunKind::Run, &query, CachePolicy::Default);
    let answer = with_notice(output, || format!("waiting for {api_url} …"), asking).await;
    output.debug_exchanges(Answerer::Remote.name(), &client);
    answer.map(drop)
}
