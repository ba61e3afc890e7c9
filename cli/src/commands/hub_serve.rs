//! `docks hub serve`: runs docksd in the foreground and shares a jobs directory.
//!
//! It is a second daemon with its own home below `DOCKS_HOME`, and therefore with its own socket,
//! lock and mirror. It neither stops nor waits for the user's daemon, and vice versa.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use docks_proto::credentials::{files, hub_token, hub_tokens};
use docks_proto::settings::{Flags, LOCAL_TENANT, Target, resolve};

use super::hub_cert::CertificateFiles;
use crate::args::HubServe;
use crate::ask::{DaemonEndpoint, check_one_named, profile_flags};
use crate::context::Context;
use crate::daemon_program::{docksd_command, find_docksd};
use crate::environment::Environment;
use crate::failure::{Failure, Kind, settings_failure};

/// Replaces this process by the hub.
pub(super) fn run(context: &Context, args: &HubServe) -> Result<(), Failure> {
    let endpoint = DaemonEndpoint::new(Environment::of_process())?;
    let jobs = jobs_dirs(context, &endpoint)?;
    let program = find_docksd(&endpoint.environment)?;
    let tls = tls_files(&endpoint, args);
    check_exposure(args, tls.is_some())?;
    if !args.no_token {
        let named = hub_tokens::read(&endpoint.places.hub_tokens_file());
        // Nobody needs a shared token beside those of persons.
        if named.map_err(|e| token_failure(&e))?.is_empty() {
            let path = endpoint.places.hub_token_file();
            let (token, is_new) =
                hub_token::read_or_create(&path).map_err(|e| token_failure(&e))?;
            if is_new {
                show_new_token(context, &path, token.expose());
            }
        }
    }
    let mut command = docksd_command(&program);
    command.args(docksd_options(&endpoint, args, tls.as_ref(), &jobs)?);
    context.output.flush()?;
    let error = command.exec();
    let doing = format!("could not run {}", program.display());
    Err(Failure::chain(Kind::Failed, &doing, &error))
}

/// Finds the directories to share: `--harbor`, else those of the profile.
fn jobs_dirs(context: &Context, endpoint: &DaemonEndpoint) -> Result<Vec<PathBuf>, Failure> {
    check_one_named(&context.global)?;
    let file = files::load(&endpoint.places).map_err(|e| settings_failure(&e))?;
    // What is shared with others must be named.
    let flags = Flags {
        default_harbor: None,
        ..profile_flags(&context.global, &endpoint.environment)
    };
    let profile = resolve(&flags, &endpoint.environment.settings, &file);
    match profile.map(|profile| profile.target) {
        Ok(Target::HarborJobs { dirs }) => {
            let real = dirs.iter().map(|dir| {
                dir.canonicalize().map_err(|error| {
                    let doing = format!("could not share {}", dir.display());
                    Failure::chain(Kind::NotFound, &doing, &error)
                })
            });
            real.collect()
        }
        Ok(Target::DocksApi { .. }) if !context.global.profile.is_empty() => Err(Failure::usage(
            "only the daemon that mirrors a Docks API shares it",
        )
        .hint("set hub_listen and hub_profiles in daemon.toml")),
        // Nothing is configured, or the profile is an API: a directory must be named either way.
        _ => Err(Failure::usage("a hub shares a Harbor jobs directory")
            .hint("name one: `docks hub serve --harbor DIR`")),
    }
}

/// Returns the certificate to use: that of the options; for other machines, else that of `docks hub cert`.
fn tls_files(endpoint: &DaemonEndpoint, args: &HubServe) -> Option<CertificateFiles> {
    if let (Some(certificate), Some(key)) = (args.tls_cert.clone(), args.tls_key.clone()) {
        return Some(CertificateFiles { certificate, key });
    }
    let made = CertificateFiles {
        certificate: endpoint.places.hub_certificate_file(),
        key: endpoint.places.hub_key_file(),
    };
    let for_others = !args.listen.ip().to_canonical().is_loopback() && !args.insecure;
    (for_others && made.certificate.exists() && made.key.exists()).then_some(made)
}

/// Refuses what docksd would refuse, before a token is created, and names these options.
fn check_exposure(args: &HubServe, tls: bool) -> Result<(), Failure> {
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
    if !tls && !args.insecure {
        return Err(Failure::usage(format!(
            "{listen} can be reached from other machines, and without TLS anyone on the network \
             path could read the token"
        ))
        .hint(
            "make a certificate with `docks hub cert`, or add --tls-cert and --tls-key, or listen on \
             127.0.0.1 behind a TLS proxy, or add --insecure",
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
    tls: Option<&CertificateFiles>,
    jobs: &[PathBuf],
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
    for dir in jobs {
        add("--hub-harbor", dir.into());
    }
    add("--hub-token-file", endpoint.places.hub_token_file().into());
    add(
        "--hub-tokens-file",
        endpoint.places.hub_tokens_file().into(),
    );
    if let Some(files) = tls {
        add("--hub-tls-cert", absolute(&files.certificate)?.into());
        add("--hub-tls-key", absolute(&files.key)?.into());
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
