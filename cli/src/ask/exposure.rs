//! Warns of what others could read, or what another user has left in the environment.

use docks_proto::credentials::files;
use docks_proto::credentials::trust::{drop_foreign_runtime_dir, warning_of_open_file};
use docks_proto::paths::Paths;

use crate::environment::Environment;
use crate::output::Output;

/// Says that files with a token are open to others, and that the runtime directory is another user's.
///
/// What cannot be determined here fails where it is needed.
pub(crate) fn warn_of_exposure(output: &Output) {
    let mut variables = Environment::of_process().places;
    let decides = variables.docks_home.is_none() && variables.docks_socket.is_none();
    if let Some(said) = drop_foreign_runtime_dir(&mut variables).filter(|_| decides) {
        output.note(said);
    }
    let Ok(paths) = Paths::resolve(&variables) else {
        return;
    };
    let settings = paths.config_file();
    let settings = warning_of_open_file(&settings).filter(|_| {
        // Settings without a token may be anybody's to read.
        let text = files::read_text(&settings).ok().flatten();
        text.is_some_and(|text| {
            text.lines()
                .any(|line| line.trim_start().starts_with("token"))
        })
    });
    for warning in settings
        .into_iter()
        .chain(warning_of_open_file(&paths.token_file()))
    {
        output.warn(warning);
    }
}
