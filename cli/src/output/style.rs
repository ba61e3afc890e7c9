//! How to print: decided once from options, environment and what stdout is.

use std::io::IsTerminal;

use crate::args::{Colour, Global};

/// What the environment says about printing; read by `main`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surroundings {
    /// `NO_COLOR` is set and not empty.
    pub(crate) no_colour: bool,
    /// `CLICOLOR_FORCE` is set and neither empty nor `0`.
    pub(crate) force_colour: bool,
    /// `TERM` is `dumb`.
    pub(crate) dumb: bool,
    /// `COLUMNS`, where it is a positive number.
    pub(crate) columns: Option<usize>,
    /// Stdout is a terminal.
    pub(crate) stdout_terminal: bool,
    /// Stderr is a terminal.
    pub(crate) stderr_terminal: bool,
    /// Width that the terminal itself tells.
    pub(crate) window: Option<usize>,
}

impl Surroundings {
    /// Reads the terminal; the environment comes through `variable`.
    pub(crate) fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let stdout = std::io::stdout();
        let stdout_terminal = stdout.is_terminal();
        Self {
            no_colour: set("NO_COLOR").is_some(),
            force_colour: set("CLICOLOR_FORCE").is_some_and(|value| value != "0"),
            dumb: set("TERM").is_some_and(|term| term == "dumb"),
            columns: set("COLUMNS").and_then(|text| text.parse().ok()),
            stdout_terminal,
            stderr_terminal: std::io::stderr().is_terminal(),
            window: stdout_terminal
                .then(|| rustix::termios::tcgetwinsize(&stdout).ok())
                .flatten()
                .map(|size| usize::from(size.ws_col)),
        }
    }
}

/// How to print.
#[derive(Debug, Clone, Default)]
pub(crate) struct Look {
    /// Columns of the terminal; `None` in a pipe, where nothing is cut.
    pub(crate) width: Option<usize>,
    /// Colour on stdout.
    pub(crate) colour: bool,
    /// Colour on stderr.
    pub(crate) stderr_colour: bool,
    /// Stderr is a terminal, so that progress and questions make sense.
    pub(crate) stderr_terminal: bool,
    /// Stdout is a terminal that can be drawn on.
    pub(crate) live: bool,
    /// `--verbose`.
    pub(crate) verbose: bool,
    /// `--debug`.
    pub(crate) debug: bool,
}

/// Width of a terminal that does not tell its own.
const USUAL_WIDTH: usize = 80;

impl Look {
    /// Decides; an option wins over the environment, which wins over what stdout is.
    pub(crate) fn decide(global: &Global, around: &Surroundings) -> Self {
        let colour = |terminal: bool| match global.color {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto if around.no_colour => false,
            Colour::Auto if around.force_colour => true,
            Colour::Auto => terminal && !around.dumb,
        };
        let width = around.stdout_terminal.then(|| {
            let told = around.columns.or(around.window);
            told.filter(|&columns| columns > 0).unwrap_or(USUAL_WIDTH)
        });
        Self {
            width,
            colour: colour(around.stdout_terminal),
            stderr_colour: colour(around.stderr_terminal),
            stderr_terminal: around.stderr_terminal,
            live: around.stdout_terminal && !around.dumb,
            verbose: global.verbose,
            debug: global.debug,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_follows_option_then_environment_then_terminal() {
        let colour = |color, around: Surroundings| {
            let global = Global {
                color,
                ..Global::default()
            };
            Look::decide(&global, &around).colour
        };
        let terminal = Surroundings {
            stdout_terminal: true,
            ..Surroundings::default()
        };
        let plain = Surroundings {
            no_colour: true,
            ..terminal.clone()
        };
        let forced = Surroundings {
            force_colour: true,
            ..Surroundings::default()
        };
        let dumb = Surroundings {
            dumb: true,
            ..terminal.clone()
        };
        assert!(colour(Colour::Auto, terminal.clone()));
        assert!(!colour(Colour::Auto, plain.clone()));
        assert!(!colour(Colour::Auto, dumb));
        assert!(!colour(Colour::Auto, Surroundings::default()));
        assert!(colour(Colour::Auto, forced));
        assert!(colour(Colour::Always, plain));
        assert!(!colour(Colour::Never, terminal));
    }

    #[test]
    fn a_pipe_has_no_width_and_a_terminal_always_one() {
        let width = |around: Surroundings| Look::decide(&Global::default(), &around).width;
        assert_eq!(width(Surroundings::default()), None);
        let terminal = Surroundings {
            stdout_terminal: true,
            window: Some(0),
            ..Surroundings::default()
        };
        assert_eq!(width(terminal.clone()), Some(80));
        let told = Surroundings {
            columns: Some(40),
            window: Some(120),
            ..terminal
        };
        assert_eq!(width(told), Some(40));
    }
}
