//! `docks auth login`: saves address, tenant and token where the Python client finds them too.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use docks_proto::client::{Client, ClientError, HttpsTransport, Limits, Transport, ca_file};
use docks_proto::credentials::{KeyringError, keyring_user};
use docks_proto::freshness::CachePolicy;
use docks_proto::query::ListQuery;
use docks_proto::routes::RunKind;
use docks_proto::secret::Token;
use docks_proto::settings::{DEFAULT_API_URL, StoredProfile, check_profile_name};
use http::HeaderMap;
use tokio::time::timeout;

use super::profile_files::{Account, checked_tenant, checked_url, remote_of};
use crate::args::AuthLogin;
use crate::ask::{Requester, WaitPolicy};
use crate::context::Context;
use crate::failure::{Answerer, Failure, Kind, settings_failure};
use crate::output::Output;

/// How long a daemon may take to ask the remote with the new token; it goes on by itself.
const DAEMON_PATIENCE: Duration = Duration::from_secs(5);

/// Longest token that is read from standard input.
const TOKEN_BYTES: u64 = 64 * 1024;

/// Asks for what options do not say, checks it with the remote, and saves it.
pub(super) async fn run(context: &Context, args: &AuthLogin) -> Result<(), Failure> {
    let account = Account::open(context)?;
    let stored = account.stored()?;
    if stored.is_none() {
        check_profile_name(&account.name).map_err(|e| settings_failure(&e))?;
    }
    let stored = stored.unwrap_or_default();
    if !stored.harbor_jobs.is_empty() {
        return Err(Failure::usage(format!(
            "profile `{}` is a jobs directory and needs no token",
            account.name
        ))
        .hint("name another profile: `docks auth login -p NAME`"));
    }
    let api_url = address(context, args, &stored)?;
    let tenant = tenant(context, args, &stored)?;
    let token = token(context, args)?;
    let insecure = api_url.starts_with("http://") && checked_url(&api_url, false).is_err();
    let way = Way {
        insecure,
        ca_file: trusted(args.ca_file.as_deref(), &stored, &api_url)?,
    };
    check(context, &api_url, &tenant, &token, &way).await?;
    save(
        context,
        &account,
        &stored,
        (&api_url, &tenant),
        &token,
        &way,
    )?;
    account.warn_of_variables(context);
    drop(timeout(DAEMON_PATIENCE, tell_daemon(context)).await);
    Ok(())
}

/// Lets a daemon that runs ask the remote anew: whoever watches since before an old token was
/// refused would else wait for its next try.
async fn tell_daemon(context: &Context) {
    let Ok(requester) = Requester::new(context) else {
        return;
    };
    let switched_off = requester.remote.disabled_by.is_some();
    if switched_off
        || !matches!(
            requester.remote.endpoint.status(WaitPolicy::Limited).await,
            Ok(Some(_))
        )
    {
        return;
    }
    if let Ok(client) = requester.daemon_within(WaitPolicy::Limited).await {
        let query = ListQuery {
            limit: 1,
            ..ListQuery::default()
        };
        let asked = client.list_runs(RunKind::Run, &query, CachePolicy::NoCache);
        // It tries again by itself if this does not help.
        drop(asked.await);
    }
}

/// How a remote may be reached.
#[derive(Debug, Clone, Default)]
pub(super) struct Way {
    /// Plain `http://` to another machine is wanted.
    pub(super) insecure: bool,
    /// Certificates to trust besides the system's.
    pub(super) ca_file: Option<PathBuf>,
}

/// Returns the certificates to trust: those of the option, else those that are stored for this address.
pub(super) fn trusted(
    given: Option<&Path>,
    stored: &StoredProfile,
    api_url: &str,
) -> Result<Option<PathBuf>, Failure> {
    let Some(path) = given else {
        let same = remote_of(stored).is_some_and(|(url, _)| url == api_url);
        return Ok(stored.ca_file.clone().filter(|_| same));
    };
    let real = path.canonicalize().map_err(|error| {
        Failure::usage(format!(
            "--ca-file {} cannot be used: {error}",
            path.display()
        ))
    })?;
    ca_file::read_certificates(&real).map_err(|problem| Failure::usage(problem.to_string()))?;
    Ok(Some(real))
}

/// Returns a path as the settings file can hold it.
pub(super) fn as_text(path: Option<&Path>) -> Result<Option<&str>, Failure> {
    path.map(|path| {
        path.to_str()
            .ok_or_else(|| Failure::usage(format!("{} is no text", path.display())))
    })
    .transpose()
}

fn address(context: &Context, args: &AuthLogin, stored: &StoredProfile) -> Result<String, Failure> {
    let usual = stored.api_url.as_deref().unwrap_or(DEFAULT_API_URL);
    // What was allowed for the stored address is not allowed for another.
    let allow = |text: &str| args.insecure || (stored.insecure && text == usual);
    let text = match &args.api_url {
        Some(text) => text.clone(),
        None if args.token_stdin || !context.output.can_prompt() => usual.to_owned(),
        None => context.output.prompt("API address", Some(usual))?,
    };
    checked_url(&text, allow(&text))
}

fn tenant(context: &Context, args: &AuthLogin, stored: &StoredProfile) -> Result<String, Failure> {
    let usual = stored.tenant_id.as_deref();
    let text = match (&args.tenant, usual) {
        (Some(text), _) => text.clone(),
        (None, _) if !args.token_stdin && context.output.can_prompt() => {
            context.output.prompt("Tenant id", usual)?
        }
        (None, Some(usual)) => usual.to_owned(),
        (None, None) => return Err(Failure::usage("no tenant was named").hint("add --tenant ID")),
    };
    checked_tenant(&text)
}

fn token(context: &Context, args: &AuthLogin) -> Result<Token, Failure> {
    let text = if args.token_stdin {
        let mut text = String::new();
        std::io::stdin()
            .lock()
            .take(TOKEN_BYTES)
            .read_to_string(&mut text)
            .map_err(|e| Failure::chain(Kind::Failed, "could not read the token", &e))?;
        text
    } else if context.output.can_prompt() {
        context.output.prompt_secret("Token (not shown)")?
    } else {
        return Err(
            Failure::usage("nobody can be asked for the token: this is no terminal")
                .hint("pipe it in: `docks auth login --tenant ID --token-stdin < FILE`"),
        );
    };
    Token::new(&text).ok_or_else(|| {
        Failure::usage("the token is empty or has characters that cannot be sent in a header")
    })
}

/// Asks the remote for one run: it says at once whether it takes the token.
///
/// A remote that cannot be reached is no reason to keep nothing; a refusal is.
async fn check(
    context: &Context,
    api_url: &str,
    tenant: &str,
    token: &Token,
    way: &Way,
) -> Result<(), Failure> {
    match probe(&context.output, api_url, tenant, token, way).await {
        Ok(()) => Ok(()),
        Err(ClientError::Refused { status, .. }) if matches!(status, 401 | 403) => {
            Err(Failure::new(
                Kind::Auth,
                format!("{api_url} refused this token for tenant `{tenant}` ({status})"),
            )
            .hint("nothing was saved; check token, tenant and address"))
        }
        Err(error) => {
            let cause = Failure::chain(Kind::Failed, "saved without a check", &error);
            context.output.warn(cause.message);
            Ok(())
        }
    }
}

/// Makes the smallest request that needs a token.
pub(super) async fn probe(
    output: &Output,
    api_url: &str,
    tenant: &str,
    token: &Token,
    way: &Way,
) -> Result<(), ClientError> {
    let limits = Limits {
        insecure: way.insecure,
        ..Limits::default()
    };
    let transport = HttpsTransport::new(api_url, Some(token.clone()), limits)?;
    let ca_file = way.ca_file.clone();
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
    let answer = client
        .list_runs(RunKind::Run, &query, CachePolicy::Default)
        .await;
    output.debug_exchanges(Answerer::Remote.name(), &client);
    answer.map(drop)
}

fn save(
    context: &Context,
    account: &Account,
    stored: &StoredProfile,
    (api_url, tenant): (&str, &str),
    token: &Token,
    way: &Way,
) -> Result<(), Failure> {
    let now = (api_url.to_owned(), tenant.to_owned());
    let moves = remote_of(stored).is_some_and(|before| before != now);
    let known = account.note_others()?;
    // The token file was for the remote that this profile had until now.
    if moves && !known && account.uses_token_file(&account.name) {
        account.note_token_file(&format!("{} (earlier)", account.name))?;
    }
    let insecure = checked_url(api_url, false).is_err();
    let mut changes = vec![
        ("api_url", Some(api_url)),
        ("tenant_id", Some(tenant)),
        ("insecure", insecure.then_some("true")),
        ("ca_file", as_text(way.ca_file.as_deref())?),
    ];
    let kept = account
        .endpoint
        .keyring()
        .set(&keyring_user(&account.name), token.expose());
    // Both programs look at the `token` key first, so an older one there must go.
    changes.push(("token", kept.is_err().then(|| token.expose())));
    account.set(&changes)?;
    let place = match kept {
        Ok(()) => "in the keyring".to_owned(),
        Err(problem) => {
            if !matches!(problem, KeyringError::Off(_)) {
                context.output.warn(problem.to_string());
            }
            let path = account.endpoint.places.config_file();
            format!("in {}, readable by you only", path.display())
        }
    };
    let name = &account.name;
    context.output.message(format!(
        "signed in: profile `{name}`, {api_url}, tenant {tenant}"
    ));
    context.output.message(format!("the token is {place}"));
    Ok(())
}
