//! `docks auth login`: checks and saves address, tenant and token where the Python client also finds them.

use std::io::Read;
use std::time::Duration;

use docks_proto::client::ClientError;
use docks_proto::credentials::{KeyringError, keyring_user};
use docks_proto::freshness::CachePolicy;
use docks_proto::query::ListQuery;
use docks_proto::routes::RunKind;
use docks_proto::secret::Token;
use docks_proto::settings::{DEFAULT_API_URL, StoredProfile, check_profile_name};
use tokio::time::timeout;

use super::kept_mirror;
use super::profile_files::{ProfileFiles, check_tenant, check_url, stored_remote};
use super::token_check::{self, ConnectionOptions, path_text, resolve_trust};
use crate::args::AuthLogin;
use crate::ask::{Requester, WaitPolicy};
use crate::context::Context;
use crate::failure::{Failure, Kind, settings_failure};

/// How long to wait for the daemon to use the new token; it continues after that.
const DAEMON_TIMEOUT: Duration = Duration::from_secs(5);

/// Most bytes that are read from stdin for a token.
const TOKEN_BYTES: u64 = 64 * 1024;

/// Prompts for what the options leave out, checks the token with the remote, and saves it.
pub(super) async fn run(context: &Context, args: &AuthLogin) -> Result<(), Failure> {
    let files = ProfileFiles::open(context)?;
    let stored = files.stored()?;
    if stored.is_none() {
        check_profile_name(&files.name).map_err(|e| settings_failure(&e))?;
    }
    let stored = stored.unwrap_or_default();
    if !stored.harbor_jobs.is_empty() {
        return Err(Failure::usage(format!(
            "profile `{}` is a jobs directory and needs no token",
            files.name
        ))
        .hint("name another profile: `docks auth login -p NAME`"));
    }
    if stored.harbor_server.is_some() {
        return Err(Failure::usage(format!(
            "profile `{}` is a `harbor serve`, to which nobody signs in",
            files.name
        ))
        .hint("set HARBOR_API_KEY, or `token` of the profile in config.toml"));
    }
    let api_url = address(context, args, &stored)?;
    let tenant = tenant(context, args, &stored)?;
    let insecure = api_url.starts_with("http://") && check_url(&api_url, false).is_err();
    let options = ConnectionOptions {
        insecure,
        trust: resolve_trust(args.ca_file.as_deref(), args.pin, &stored, &api_url)?,
    };
    let token = token(context, args)?;
    if !args.no_check {
        token_check::check(context, &api_url, &tenant, &token, &options).await?;
    }
    let kept = kept_mirror::of_login(&files, (&api_url, &tenant), &token)?;
    save(
        context,
        &files,
        &stored,
        (&api_url, &tenant),
        &token,
        &options,
        !args.no_check,
    )?;
    if args.forget_mirror {
        kept_mirror::forget(context, &files.name).await?;
    } else if let Some(kept) = kept {
        kept.tell(context, &files.name);
    }
    files.warn_about_variables(context);
    drop(timeout(DAEMON_TIMEOUT, refresh_daemon(context)).await);
    Ok(())
}

/// Makes a running daemon request from the remote again: a watch that an expired token had
/// interrupted would otherwise wait for the next attempt.
async fn refresh_daemon(context: &Context) {
    let Ok(requester) = Requester::new(context) else {
        return;
    };
    let disabled = requester.remote.disabled_by.is_some();
    if disabled
        || !matches!(
            requester
                .remote
                .endpoint
                .is_alive(WaitPolicy::Limited)
                .await,
            Ok(true) | Err(ClientError::OtherBuild)
        )
    {
        return;
    }
    if let Ok(client) = requester.daemon_within(WaitPolicy::Limited).await {
        let query = ListQuery {
            limit: 1,
            ..ListQuery::default()
        };
        let request = client.list_runs(RunKind::Run, &query, CachePolicy::NoCache);
        // The daemon tries again later if this fails.
        drop(request.await);
    }
}

fn address(context: &Context, args: &AuthLogin, stored: &StoredProfile) -> Result<String, Failure> {
    let default = stored.api_url.as_deref().unwrap_or(DEFAULT_API_URL);
    // Plain http that is allowed for the stored address is not allowed for another.
    let allow = |text: &str| args.insecure || (stored.insecure && text == default);
    let text = match &args.api_url {
        Some(text) => text.clone(),
        None if args.token_stdin || !context.output.can_prompt() => default.to_owned(),
        None => context.output.prompt("API address", Some(default))?,
    };
    check_url(&text, allow(&text))
}

fn tenant(context: &Context, args: &AuthLogin, stored: &StoredProfile) -> Result<String, Failure> {
    let default = stored.tenant_id.as_deref();
    let text = match (&args.tenant, default) {
        (Some(text), _) => text.clone(),
        (None, _) if !args.token_stdin && context.output.can_prompt() => {
            context.output.prompt("Tenant id", default)?
        }
        (None, Some(default)) => default.to_owned(),
        (None, None) => return Err(Failure::usage("the tenant is missing").hint("add --tenant ID")),
    };
    check_tenant(&text)
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
            Failure::usage("cannot prompt for the token: stdin is not a terminal")
                .hint("use `docks auth login --tenant ID --token-stdin < FILE`"),
        );
    };
    Token::new(&text).ok_or_else(|| {
        Failure::usage("the token is empty or has characters that cannot be sent in a header")
    })
}

fn save(
    context: &Context,
    files: &ProfileFiles,
    stored: &StoredProfile,
    (api_url, tenant): (&str, &str),
    token: &Token,
    options: &ConnectionOptions,
    is_checked: bool,
) -> Result<(), Failure> {
    let now = (api_url.to_owned(), tenant.to_owned());
    let remote_changes = stored_remote(stored).is_some_and(|before| before != now);
    let owned_by_other = files.record_other_owner()?;
    // The token file belongs to the previous remote of this profile.
    if remote_changes && !owned_by_other && files.uses_token_file(&files.name) {
        files.record_token_file_owner(&format!("{} (earlier)", files.name))?;
    }
    let insecure = check_url(api_url, false).is_err();
    let pin = options.trust.pin.map(|pin| pin.to_string());
    let mut changes = vec![
        ("api_url", Some(api_url)),
        ("tenant_id", Some(tenant)),
        ("insecure", insecure.then_some("true")),
        ("ca_file", path_text(options.trust.ca_file.as_deref())?),
        ("pin", pin.as_deref()),
    ];
    let saved = files
        .endpoint
        .keyring()
        .set(&keyring_user(&files.name), token.expose());
    // Both programs read the `token` key first, so an older one there must be removed.
    changes.push(("token", saved.is_err().then(|| token.expose())));
    files.set(&changes)?;
    let place = match saved {
        Ok(()) => "in the keyring".to_owned(),
        Err(problem) => {
            if !matches!(problem, KeyringError::Off(_)) {
                context.output.warn(problem.to_string());
            }
            let path = files.endpoint.places.config_file();
            format!("in {}, readable only by you", path.display())
        }
    };
    let name = &files.name;
    let done = if is_checked {
        "signed in"
    } else {
        "saved without a check"
    };
    context.output.message(format!(
        "{done}: profile `{name}`, {api_url}, tenant {tenant}"
    ));
    context.output.message(format!("the token is {place}"));
    Ok(())
}
