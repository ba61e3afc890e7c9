//! `docks hub token`: shows, adds and revokes the hub's tokens.

use docks_proto::credentials::{files, hub_token, hub_tokens};
use docks_proto::paths::Paths;
use docks_proto::settings::LOCAL_TENANT;

use super::hub_serve::token_failure;
use crate::args::{Format, HubToken, HubTokenAdd, HubTokenCommand, HubTokenRevoke};
use crate::ask::DaemonEndpoint;
use crate::context::Context;
use crate::environment::Environment;
use crate::failure::{Failure, Kind, settings_failure};

/// Name of the shared token in the list; no person's token can have it.
const SHARED: &str = "(shared)";

/// Runs one of the verbs; without one, shows the shared token.
pub(super) fn run(context: &Context, args: &HubToken) -> Result<(), Failure> {
    let endpoint = DaemonEndpoint::new(Environment::of_process())?;
    let places = &endpoint.places;
    match &args.command {
        None => show_shared(context, places, args.rotate),
        Some(HubTokenCommand::Add(args)) => add(context, places, args),
        Some(HubTokenCommand::List(_)) => list(context, places),
        Some(HubTokenCommand::Revoke(args)) => revoke(context, places, args),
    }
}

/// Prints only the token to stdout, and how to use it to stderr.
fn show_shared(context: &Context, places: &Paths, rotate: bool) -> Result<(), Failure> {
    let path = places.hub_token_file();
    let token = if rotate {
        hub_token::rotate(&path)
    } else {
        hub_token::read_or_create(&path).map(|(token, _)| token)
    };
    let token = token.map_err(|e| token_failure(&e))?;
    if rotate {
        context
            .output
            .note("the old token is no longer valid; a running hub requires this one from now on");
    }
    context.output.line(token.expose());
    context.output.verbose(sign_in());
    Ok(())
}

/// Prints only the token to stdout.
fn add(context: &Context, places: &Paths, args: &HubTokenAdd) -> Result<(), Failure> {
    let path = places.hub_tokens_file();
    let token = hub_tokens::add(&path, &args.name, args.read_only, context.now);
    let token = token.map_err(|e| change_failure(&e))?;
    context.output.line(token.expose());
    let access = if args.read_only {
        "can read everything"
    } else {
        "can read everything and stop runs"
    };
    context.output.message(format!(
        "token `{}` {access}; it is not shown again",
        args.name
    ));
    context.output.message(sign_in());
    if places.hub_token_file().exists() {
        context
            .output
            .verbose("the shared token stays valid; `docks hub token revoke --shared` revokes it");
    }
    Ok(())
}

fn list(context: &Context, places: &Paths) -> Result<(), Failure> {
    let failed = |e: hub_token::HubTokenError| {
        Failure::chain(Kind::Failed, "could not list the tokens of the hub", &e)
    };
    let shared = hub_token::read(&places.hub_token_file()).map_err(failed)?;
    let named = hub_tokens::read(&places.hub_tokens_file()).map_err(failed)?;
    let row = |name: &str, read_only: bool, created: String| {
        let access = if read_only { "read" } else { "read, stop" };
        vec![name.to_owned(), access.to_owned(), created]
    };
    let mut rows: Vec<_> = named
        .iter()
        .map(|token| row(&token.name, token.read_only, token.created.rfc3339()))
        .collect();
    rows.extend(shared.map(|_| row(SHARED, false, String::new())));
    let format = context.global.format;
    context
        .output
        .data_rows(format, ["name", "access", "created"], &rows);
    if rows.is_empty() && format == Format::Table {
        context
            .output
            .note("the hub has no tokens; `docks hub token add NAME` creates one");
    }
    Ok(())
}

fn revoke(context: &Context, places: &Paths, args: &HubTokenRevoke) -> Result<(), Failure> {
    let revoked = match &args.name {
        Some(name) => {
            let path = places.hub_tokens_file();
            hub_tokens::revoke(&path, name).map_err(|e| change_failure(&e))?;
            format!("token `{name}`")
        }
        None => {
            let path = places.hub_token_file();
            if !files::remove(&path).map_err(|e| settings_failure(&e))? {
                return Err(Failure::new(Kind::NotFound, "there is no shared token"));
            }
            "the shared token".to_owned()
        }
    };
    context.output.message(format!(
        "{revoked} is revoked; a running hub rejects it from now on"
    ));
    Ok(())
}

fn sign_in() -> String {
    format!("sign in with it: docks auth login -p NAME --api-url URL --tenant {LOCAL_TENANT}")
}

fn change_failure(error: &hub_token::HubTokenError) -> Failure {
    use hub_token::HubTokenError as E;
    match error {
        E::BadName { .. } => Failure::usage(error.to_string()),
        E::UnknownName { .. } => Failure::new(Kind::NotFound, error.to_string()),
        E::NameTaken { .. } => Failure::failed(error.to_string()),
        _ => Failure::chain(
            Kind::Failed,
            "could not change the tokens of the hub",
            error,
        ),
    }
}
