//! The command line of docks.

// What strangers send is read here: a wrong index must not end the program.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::string_slice))]

mod args;
mod ask;
mod commands;
mod context;
mod daemon_program;
mod desktop_helper;
mod environment;
mod failure;
mod grep;
mod helper_process;
mod output;
mod panic;
mod watch;

use std::process::ExitCode;
use std::sync::Arc;

use docks_proto::time::UnixMs;

use crate::context::Context;
use crate::output::{Output, OutputStyle, TerminalEnvironment};

fn main() -> ExitCode {
    panic::end_command_on_panic();
    environment::keep_memory_private();
    environment::keep_own_permissions();
    let cli = match args::Cli::read() {
        Ok(cli) => cli,
        Err(error) => {
            // A closed pipe is not an error.
            drop(args::print(&error));
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let environment = TerminalEnvironment::read(|name| std::env::var(name).ok());
    let mut context = Context {
        output: Arc::new(Output::new(OutputStyle::resolve(&cli.global, &environment))),
        global: cli.global,
        now: UnixMs::now(),
    };
    ask::warn_of_exposure(&context.output);
    let done = ask::settle_remotes(&mut context.global)
        .and_then(|()| commands::run(&context, cli.command))
        .and_then(|()| context.output.flush());
    context.output.stop_pager();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // What was printed so far comes before the error.
            drop(context.output.flush());
            let failure = ask::name_foreign_file(failure);
            context.output.print_failure(&failure);
            ExitCode::from(failure.kind.exit_code())
        }
    }
}
