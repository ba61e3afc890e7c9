//! `docks hub token`: shows the hub's token, or replaces it.

use docks_proto::credentials::hub_token;
use docks_proto::settings::LOCAL_TENANT;

use super::hub_serve::token_failure;
use crate::args::HubToken;
use crate::ask::DaemonEndpoint;
use crate::context::Context;
use crate::environment::Environment;
use crate::failure::Failure;

/// Prints only the token to stdout, and how to use it to stderr.
pub(super) fn run(context: &Context, args: &HubToken) -> Result<(), Failure> {
    let endpoint = DaemonEndpoint::new(Environment::of_process())?;
    let path = endpoint.places.hub_token_file();
    let token = if args.rotate {
        hub_token::rotate(&path)
    } else {
        hub_token::read_or_create(&path).map(|(token, _)| token)
    };
    let token = token.map_err(|e| token_failure(&e))?;
    if args.rotate {
        context
            .output
            .note("the old token is no longer valid; a running hub requires this one from now on");
    }
    context.output.line(token.expose());
    context.output.verbose(format!(
        "sign in with it: docks auth login -p NAME --api-url URL --tenant {LOCAL_TENANT}"
    ));
    Ok(())
}
