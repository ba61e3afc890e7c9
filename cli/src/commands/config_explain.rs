//! `docks config explain`: every setting and where its value comes from.

use docks_proto::settings::{Origin, Target};

use crate::ask::{DaemonEndpoint, SelectedRemote};
use crate::context::Context;
use crate::daemon_program::find_docksd;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::output::table::{Column, Shrink};

/// Prints settings, paths and where the token is stored; never the token.
pub(super) fn run(context: &Context) -> Result<(), Failure> {
    let environment = Environment::of_process();
    let (mut rows, outcome) = match SelectedRemote::new(&context.global, environment.clone()) {
        Ok(remote) => (remote_rows(&remote), Ok(())),
        // The paths are helpful for fixing the settings.
        Err(failure) => (Vec::new(), Err(failure)),
    };
    rows.extend(path_rows(&DaemonEndpoint::new(environment)?));
    let columns = vec![
        Column::new("setting", Shrink::Never),
        Column::new("value", Shrink::Wrap(8)),
        Column::new("origin", Shrink::Wrap(8)),
    ];
    context
        .output
        .records(context.global.format, columns, &rows);
    outcome
}

fn row(key: &str, value: impl Into<String>, origin: impl ToString) -> Vec<String> {
    vec![key.to_owned(), value.into(), origin.to_string()]
}

fn remote_rows(remote: &SelectedRemote) -> Vec<Vec<String>> {
    let settings = remote.profile.settings.iter();
    let mut rows: Vec<_> = settings
        .map(|set| row(set.key, &set.value, &set.origin))
        .collect();
    let inline = remote.profile.inline_token.is_some();
    if !inline && let Target::DocksApi { .. } = remote.profile.target {
        rows.push(match remote.token() {
            Ok(found) => row("token", "set", &found.location),
            Err(failure) => row("token", "none", failure.message),
        });
    }
    if let Some(switch) = remote.disabled_by {
        rows.push(row("daemon", "off", switch));
    }
    rows
}

fn path_rows(endpoint: &DaemonEndpoint) -> Vec<Vec<String>> {
    let places = &endpoint.places;
    let environment = &endpoint.environment.places;
    let from = |set: bool, variable| match set {
        true => Origin::Environment(variable).to_string(),
        false => Origin::Default.to_string(),
    };
    let home_from = from(environment.docks_home.is_some(), "DOCKS_HOME");
    let socket_from = if environment.docks_socket.is_some() {
        from(true, "DOCKS_SOCKET")
    } else if environment.docks_home.is_some() {
        home_from.clone()
    } else {
        from(!places.socket.starts_with(&places.home), "XDG_RUNTIME_DIR")
    };
    vec![
        row("home", places.home.display().to_string(), home_from),
        row("socket", places.socket.display().to_string(), socket_from),
        match find_docksd(&endpoint.environment) {
            Ok(path) => row(
                "docksd",
                path.display().to_string(),
                from(endpoint.environment.docksd.is_some(), "DOCKSD"),
            ),
            Err(failure) => row("docksd", "none", failure.message),
        },
    ]
}
