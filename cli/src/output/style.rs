//! How to print: resolved once from options, the environment and the terminal.

use std::io::IsTerminal;

use crate::args::{Colour, Global};

/// What the environment says about printing; `main` reads it.
#[derive(Debug, Clone, Default)]
pub(crate) struct TerminalEnvironment {
    /// `NO_COLOR` is set and not empty.
    pub(crate) no_colour: bool,
    /// `CLICOLOR_FORCE` is set and is neither empty nor `0`.
    pub(crate) force_colour: bool,
    /// `TERM` is `dumb`.
    pub(crate) dumb: bool,
    /// `COLUMNS`, if it is a number.
    pub(crate) columns: Option<usize>,
    /// Stdout is a terminal.
    pub(crate) stdout_terminal: bool,
    /// Stderr is a terminal.
    pub(crate) stderr_terminal: bool,
    /// Width of the terminal in columns, as the terminal reports it.
    pub(crate) window: Option<usize>,
}

impl TerminalEnvironment {
    /// Reads the terminal, and the environment through `variable`.
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
pub(crate) struct OutputStyle {
    /// Width of the terminal in columns; `None` in a pipe, where nothing is cut.
    pub(crate) width: Option<usize>,
    /// Colour on stdout.
    pub(crate) colour: bool,
    /// Colour on stderr.
    pub(crate) stderr_colour: bool,
    /// Stderr is a terminal, so progress and questions can be shown.
    pub(crate) stderr_terminal: bool,
    /// Stdout is a terminal that can draw a live view.
    pub(crate) live: bool,
    /// `--verbose`.
    pub(crate) verbose: bool,
    /// `--debug`.
    pub(crate) debug: bool,
}

/// Width of a terminal that does not report its own, in columns.
const DEFAULT_WIDTH: usize = 80;

impl OutputStyle {
    /// Resolves the style: an option overrides the environment, which overrides the kind of stdout.
    pub(crate) fn resolve(global: &Global, environment: &TerminalEnvironment) -> Self {
        let colour = |terminal: bool| match global.color {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto if environment.no_colour => false,
            Colour::Auto if environment.force_colour => true,
            Colour::Auto => terminal && !environment.dumb,
        };
        let width = environment.stdout_terminal.then(|| {
            let reported = environment.columns.or(environment.window);
            reported
                .filter(|&columns| columns > 0)
                .unwrap_or(DEFAULT_WIDTH)
        });
        Self {
            width,
            colour: colour(environment.stdout_terminal),
            stderr_colour: colour(environment.stderr_terminal),
            stderr_terminal: environment.stderr_terminal,
            live: environment.stdout_terminal && !environment.dumb,
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
        let colour = |color, environment: TerminalEnvironment| {
            let global = Global {
                color,
                ..Global::default()
            };
            OutputStyle::resolve(&global, &environment).colour
        };
        let terminal = TerminalEnvironment {
            stdout_terminal: true,
            ..TerminalEnvironment::default()
        };
        let plain = TerminalEnvironment {
            no_colour: true,
            ..terminal.clone()
        };
        let forced = TerminalEnvironment {
            force_colour: true,
            ..TerminalEnvironment::default()
        };
        let dumb = TerminalEnvironment {
            dumb: true,
            ..terminal.clone()
        };
        assert!(colour(Colour::Auto, terminal.clone()));
        assert!(!colour(Colour::Auto, plain.clone()));
        assert!(!colour(Colour::Auto, dumb));
        assert!(!colour(Colour::Auto, TerminalEnvironment::default()));
        assert!(colour(Colour::Auto, forced));
        assert!(colour(Colour::Always, plain));
        assert!(!colour(Colour::Never, terminal));
    }

    #[test]
    fn a_pipe_has_no_width_and_a_terminal_always_has_one() {
        let width = |environment: TerminalEnvironment| {
            OutputStyle::resolve(&Global::default(), &environment).width
        };
        assert_eq!(width(TerminalEnvironment::default()), None);
        let terminal = TerminalEnvironment {
            stdout_terminal: true,
            window: Some(0),
            ..TerminalEnvironment::default()
        };
        assert_eq!(width(terminal.clone()), Some(80));
        let overridden = TerminalEnvironment {
            columns: Some(40),
            window: Some(120),
            ..terminal
        };
        assert_eq!(width(overridden), Some(40));
    }
}
