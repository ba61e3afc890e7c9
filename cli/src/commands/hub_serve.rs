//! `docks hub serve`: a docksd in the foreground that shares a jobs directory.
//!
//! It is a daemon of its own, beside the user's: with its own home below `DOCKS_HOME`, and so
//! with its own socket, lock and mirror. Neither ends or waits for the other.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use docks_proto::credentials::{files, hub_token};
use docks_proto::settings::{LOCAL_TENANT, Target, resolve};

use crate::args::HubServe;
use crate::ask::{DaemonEndpoint, docksd_command, find_docksd, profile_flags};
use crate::context::Context;
use crate::environment::Environment;
use crate::failure::{Failure, Kind, settings_failure};

/// Becomes the hub.
pub(super) fn run(context: &Context, args: &HubServe) -> Result<(), Failure> {
    let endpoint = DaemonEndpoint::new(Environment::of_process())?;
    let jobs = jobs(context, &endpoint)?;
    let program = find_docksd(&endpoint.environment)?;
    safe(args)?;
    if !args.no_token {
        let path = endpoint.places.hub_token_file();
        let (token, made) = hub_token::read_or_create(&path).map_err(|e| token_failure(&e))?;
        if made {
            introduce(context, &path, token.expose());
        }
    }
    let mut command = docksd_command(&program);
    command.args(options(&endpoint, args, &jobs)?);
    context.output.flush()?;
    let error = command.exec();
    let doing = format!("could not run {}", program.display());
    Err(Failure::chain(Kind::Failed, &doing, &error))
}

/// Finds the directory: `--harbor`, else that of the profile.
fn jobs(context: &Context, endpoint: &DaemonEndpoint) -> Result<PathBuf, Failure> {
    let file = files::load(&endpoint.places).map_err(|e| settings_failure(&e))?;
    let flags = profile_flags(&context.global, &endpoint.environment);
    let profile = resolve(&flags, &endpoint.environment.settings, &file);
    match profile.map(|profile| profile.target) {
        Ok(Target::HarborJobs { dirs }) => match dirs.as_slice() {
            [dir] => dir.canonicalize().map_err(|error| {
                let doing = format!("could not share {}", dir.display());
                Failure::chain(Kind::NotFound, &doing, &error)
            }),
            several => Err(Failure::usage(format!(
                "a hub shares one directory, and these are {}",
                several.len()
            ))
            .hint("name it: `docks hub serve --harbor DIR`")),
        },
        // Nothing is set up, or it is an API: either way the answer is to name a directory.
        _ => Err(Failure::usage("a hub shares a Harbor jobs directory")
            .hint("name it: `docks hub serve --harbor DIR`")),
    }
}

/// Refuses what docksd would refuse, before a token is made, in the words of these options.
fn safe(args: &HubServe) -> Result<(), Failure> {
    if args.listen.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    let listen = args.listen;
    if args.no_token {
        return Err(Failure::usage(format!(
            "{listen} can be reached from other machines, so a token must be asked for"
        ))
        .hint("leave out --no-token, or listen on 127.0.0.1"));
    }
    if args.tls_cert.is_none() && !args.insecure {
        return Err(Failure::usage(format!(
            "{listen} can be reached from other machines, and without TLS everybody on the way \
             could read the token"
        ))
        .hint(
            "add --tls-cert and --tls-key, or listen on 127.0.0.1 behind a proxy that speaks \
             TLS, or say --insecure",
        ));
    }
    Ok(())
}

/// Shows the first token once, and only to a person: a log would keep it.
fn introduce(context: &Context, path: &Path, token: &str) {
    let kept = path.display();
    if !std::io::stderr().is_terminal() {
        context.output.message(format!(
            "a token was made and is kept in {kept}; `docks hub token` shows it"
        ));
        return;
    }
    context.output.message(format!(
        "A token was made. It is shown this once, and kept in {kept}:\n\n    {token}\n\n\
         On another machine, `docks auth login -p NAME --api-url URL --tenant {LOCAL_TENANT}` \
         asks for it.\n"
    ));
}

fn options(
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

/// Says why there is no token.
pub(super) fn token_failure(error: &hub_token::HubTokenError) -> Failure {
    Failure::chain(Kind::Failed, "there is no token for the hub", error)
}
