//! Checks a token with the remote, before it is saved and for `docks auth status`.

use std::path::Path;

use docks_proto::client::{
    Client, ClientError, HttpsTransport, Limits, SendError, Transport, trust,
};
use docks_proto::freshness::CachePolicy;
use docks_proto::query::ListQuery;
use docks_proto::routes::RunKind;
use docks_proto::secret::Token;
use docks_proto::settings::{CertificatePin, NotAPin, StoredProfile, TrustSettings};
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
    /// Certificates to trust.
    pub(super) trust: TrustSettings,
}

/// Returns the certificates to trust: those of the options, else those stored for this address.
pub(super) fn resolve_trust(
    ca_file: Option<&Path>,
    pin: Option<CertificatePin>,
    stored: &StoredProfile,
    api_url: &str,
) -> Result<TrustSettings, Failure> {
    if pin.is_some() && api_url.starts_with("http://") {
        return Err(Failure::usage(format!(
            "{api_url} has no certificate that --pin could name"
        ))
        .hint("use https://, or leave out --pin"));
    }
    let mut trust = TrustSettings { ca_file: None, pin };
    if let Some(path) = ca_file {
        let real = path.canonicalize().map_err(|error| {
            Failure::usage(format!("cannot use --ca-file {}: {error}", path.display()))
        })?;
        trust::read_certificates(&real).map_err(|problem| Failure::usage(problem.to_string()))?;
        trust.ca_file = Some(real);
    } else if pin.is_none() && stored_remote(stored).is_some_and(|(url, _)| url == api_url) {
        trust.ca_file.clone_from(&stored.ca_file);
        let stored_pin = stored.pin.as_ref().map(|text| text.parse()).transpose();
        trust.pin = stored_pin.map_err(|problem: NotAPin| {
            Failure::usage(format!("`pin` of the profile cannot be used: {problem}"))
                .hint("replace it with --pin FINGERPRINT")
        })?;
    }
    Ok(trust)
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
/// When the remote rejects the token, or cannot be asked.
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
        Err(error) => Err(not_checked(&error)),
    }
}

/// Says that a token was not saved, since nobody could say whether it is accepted.
fn not_checked(error: &ClientError) -> Failure {
    let kind = Failure::from_client_error(error, Answerer::Remote).kind;
    let failure = Failure::chain(
        kind,
        "could not check the token, so it was not saved",
        error,
    );
    match error {
        ClientError::Send(SendError::Tls { .. }) => failure.hint(
            "if that is the fingerprint that `docks hub cert` shows on the hub, add \
             `--pin FINGERPRINT`; for the certificate of an authority, `--ca-file FILE`",
        ),
        _ => failure.hint("try again later, or save it unchecked with --no-check"),
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
    let trust = options.trust.clone();
    let transport = transport.with_trust(move || trust.clone());
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
