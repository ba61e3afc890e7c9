//! An action that is sent to the remote without the daemon, with a note for the daemon's mirror.

use docks_proto::action_notes::{ActionNotes, OpenNote};
use docks_proto::client::ClientError;
use docks_proto::object::{RawObject, RunFields};
use docks_proto::routes::Action;
use docks_proto::time::UnixMs;

use super::request::Response;
use super::selected_remote::SelectedRemote;
use crate::failure::Failure;

/// What became of a request to the remote, as [`send`](super::direct::send) returns it.
type Outcome = Result<Result<Response, ClientError>, Failure>;

/// Sends an action with `send`, and leaves a note of it.
///
/// Where no note can be left, the action counts for more: it is sent all the same.
pub(super) async fn with_note(
    remote: &SelectedRemote,
    action: Action,
    run: &str,
    send: impl Future<Output = Outcome>,
) -> Outcome {
    let notes = ActionNotes::new(&remote.endpoint.places);
    let target = remote.profile.target.to_string();
    let note = notes.begin(target, action.kind(), run, UnixMs::now()).ok();
    let outcome = send.await;
    if let Some(note) = note {
        finish(note, &outcome);
    }
    outcome
}

fn finish(note: OpenNote, outcome: &Outcome) {
    let run = match outcome {
        Ok(Ok(response)) => full_id(response),
        // Refused, so nothing was done.
        Ok(Err(ClientError::Refused { status, .. })) if *status < 500 => return note.remove(),
        Err(_) => return note.remove(),
        Ok(Err(_)) => None,
    };
    // Otherwise the note says that the action may still be under way, which is safe.
    note.end(run, UnixMs::now()).ok();
}

/// Returns the id of the run in a response to an action.
fn full_id(response: &Response) -> Option<String> {
    let text = std::str::from_utf8(&response.body).ok()?;
    let object = RawObject::parse(text).ok().flatten()?;
    RunFields::from_object(&object).id.text()
}
