//! Commands whose arguments are built only when they are needed.
//!
//! A process runs one command. Building the arguments of all the others would take longer than
//! running it.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};

use clap::builder::Resettable;
use clap::{ArgMatches, Args, Command, CommandFactory, Error, FromArgMatches, Subcommand};

/// Set while [`whole_tree`] builds. It changes when arguments are built, and never which.
static BUILD_NOW: AtomicBool = AtomicBool::new(false);

/// The arguments or subcommands of one command, built when the command is called, or shown by
/// help or completion.
#[derive(Debug)]
pub(crate) struct Deferred<T>(pub(crate) T);

impl<T> Deref for Deferred<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Deferred<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: FromArgMatches> FromArgMatches for Deferred<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        T::from_arg_matches(matches).map(Self)
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, Error> {
        T::from_arg_matches_mut(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches(matches)
    }

    fn update_from_arg_matches_mut(&mut self, matches: &mut ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches_mut(matches)
    }
}

impl<T: Args> Args for Deferred<T> {
    fn augment_args(command: Command) -> Command {
        defer(command, |command| {
            keep_description(command, T::augment_args)
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        defer(command, |command| {
            keep_description(command, T::augment_args_for_update)
        })
    }
}

impl<T: Subcommand> Subcommand for Deferred<T> {
    fn augment_subcommands(command: Command) -> Command {
        defer(command, |command| {
            keep_description(command, T::augment_subcommands)
        })
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        defer(command, |command| {
            keep_description(command, T::augment_subcommands_for_update)
        })
    }

    fn has_subcommand(name: &str) -> bool {
        T::has_subcommand(name)
    }
}

/// Builds the whole command tree at once, for what reads all of it.
///
/// clap copies the tree for `docks help …` before it builds what was deferred.
pub(crate) fn whole_tree<T: CommandFactory>() -> Command {
    BUILD_NOW.store(true, Ordering::Relaxed);
    let tree = T::command();
    BUILD_NOW.store(false, Ordering::Relaxed);
    tree
}

fn defer(command: Command, build: fn(Command) -> Command) -> Command {
    if BUILD_NOW.load(Ordering::Relaxed) {
        build(command)
    } else {
        command.defer(build)
    }
}

/// Keeps what the command says of itself, which `build` would replace by the doc comment of the
/// type.
fn keep_description(command: Command, build: fn(Command) -> Command) -> Command {
    let about = Resettable::from(command.get_about().cloned());
    let long_about = Resettable::from(command.get_long_about().cloned());
    build(command).about(about).long_about(long_about)
}
