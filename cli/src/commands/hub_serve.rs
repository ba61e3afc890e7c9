//! `docks hub serve`: runs docksd in the foreground and shares a jobs directory.
//!
//! It is a second daemon with its own home below `DOCKS_HOME`, and therefore with its own socket,
//! lock and mirror. It neither stops nor waits for the user's daemon, and vice versa.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use docks_proto::credentials::{files, hub_token};
use docks_proto::settings::{Flags, LOCAL_TENANT, Target, resolve};

use crate::args::HubServe;
use crate::ask::{DaemonEndpoint, profile_flags};
use crate::context::Context;
use crate::daemon_program::{docksd_command, find_docksd};
use crate::environment::Environment;
use crate::failure::{Failure, Kind, settings_failure};

/// Replaces this process by the hub.
pub(super) fn run(context: &Context, args: &HubServe) -> Result<(), Failure> {
    let endpoint = DaemonEndpoint::new(Environment::of_process())?;
    let jobs = jobs_dir(context, &endpoint)?;
    let program = find_docksd(&endpoint.environment)?;
    check_exposure(args)?;
    if !args.no_token {
        let path = endpoint.places.hub_token_file();
        let (token, is_new) = hub_token::read_or_create(&path).map_err(|e| token_failure(&e))?;
        if is_new {
            show_new_token(context, &path, token.expose());
        }
    }
    let mut command = docksd_command(&program);
    command.args(docksd_options(&endpoint, args, &jobs)?);
    context.output.flush()?;
    let error = command.exec();
    let doing = format!("could not run {}", program.display());
    Err(Failure::chain(Kind::Failed, &doing, &error))
}

/// Finds the directory to share: `--harbor`, else that of the profile.
fn jobs_dir(context: &Context, endpoint: &DaemonEndpoint) -> Result<PathBuf, Failure> {
    let file = files::load(&endpoint.places).map_err(|e| settings_failure(&e))?;
    // What is shared with others must be named.
    let flags = Flags {
        default_harbor: None,
        ..profile_flags(&context.global, &endpoint.environment)
    };
    let profile = resolve(&flags, &endpoint.environment.settings, &file);
    match profile.map(|profile| profile.target) {
        Ok(Target::HarborJobs { dirs }) => match dirs.as_slice() {
            [dir] => dir.canonicalize().map_err(|error| {
                let doing = format!("could not share {}", dir.display());
                Failure::chain(Kind::NotFound, &doing, &error)
            }),
            several => Err(Failure::usage(format!(
                "a hub shares one directory, not {}",
                several.len()
            ))
            .hint("name one: `docks hub serve --harbor DIR`")),
        },
        // Nothing is configured, or the profile is an API: a directory must be named either way.
        _ => Err(Failure::usage("a hub shares a Harbor jobs directory")
            .hint("name one: `docks hub serve --harbor DIR`")),
    }
}

/// Refuses what docksd would refuse, before a token is created, and names these options.
fn check_exposure(args: &HubServe) -> Result<(), Failure> {
    if args.listen.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    let listen = args.listen;
    if args.no_token {
        return Err(Failure::usage(format!(
            "{listen} can be reached from other machines, so a token is required"
        ))
        .hint("leave out --no-token, or listen on 127.0.0.1"));
    }
    if args.tls_cert.is_none() && !args.insecure {
        return Err(Failure::usage(format!(
            "{listen} can be reached from other machines, and without TLS anyone on the network \
             path could read the token"
        ))
        .hint(
            "add --tls-cert and --tls-key, or listen on 127.0.0.1 behind a TLS proxy, or add \
             --insecure",
        ));
    }
    Ok(())
}

/// Shows a new token, but only at a terminal: a log would keep it.
fn show_new_token(context: &Context, path: &Path, token: &str) {
    let path = path.display();
    if !std::io::stderr().is_terminal() {
        context.output.message(format!(
            "a token was created and stored in {path}; `docks hub token` shows it"
        ));
        return;
    }
    context.output.message(format!(
        "A token was created. It is shown once, and stored in {path}:\n\n    {token}\n\n\
         On another machine, `docks auth login -p NAME --api-url URL --tenant {LOCAL_TENANT}` \
         asks for it.\n"
    ));
}

fn docksd_options(
    endpoint: &DaemonEndpoint,
    args: &HubServe,
    jobs: &Path,
) -> Result<Vec<OsString>, Failure> {
    let home = endpoint.places.hub_home();
    let absolute = |path: &Path| {
        std::path::absolute(path).map_err(|error| {
            let doing = format!("could not use {}", path.display());
            Failure::chain(Kind::Usage, &doing, &error)
        })
    };
    let mut options: Vec<OsString> = vec!["--foreground".into()];
    let mut add = |name: &str, value: OsString| options.extend([name.into(), value]);
    add("--home", home.clone().into());
    add("--socket", home.join("run/docksd.sock").into());
    add("--hub-listen", args.listen.to_string().into());
    add("--hub-harbor", jobs.into());
    add("--hub-token-file", endpoint.places.hub_token_file().into());
    if let (Some(certificate), Some(key)) = (&args.tls_cert, &args.tls_key) {
        add("--hub-tls-cert", absolute(certificate)?.into());
        add("--hub-tls-key", absolute(key)?.into());
    }
    if let Some(url) = &args.url {
        add("--hub-url", url.into());
    }
    for (name, on) in [
        ("--hub-insecure", args.insecure),
        ("--hub-no-token", args.no_token),
        ("--hub-read-only", args.read_only),
    ] {
        options.extend(on.then(|| name.into()));
    }
    Ok(options)
}

/// Explains why there is no token.
pub(super) fn token_failure(error: &hub_token::HubTokenError) -> Failure {
    Failure::chain(Kind::Failed, "there is no token for the hub", error)
}
