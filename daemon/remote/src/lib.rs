//! What a source of runs can do.
//!
//! Three kinds of sources implement [`Remote`]: a Docks API or a hub over HTTPS ([`DocksApi`]) and
//! a Harbor jobs directory. The sync engine knows only this trait, so tests can script a remote.

// What strangers send is read here: a wrong index must not end the program.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::string_slice))]

pub mod answer;
pub mod changes;
pub mod docks_api;
pub mod error;
pub mod remote;

pub use answer::{Fetched, Page};
pub use changes::{
    ChangeDetection, Changes, CompleteRun, DeliveredRun, DeliveredTrials, Notice, Reading,
};
pub use docks_api::{DocksApi, TokenSource};
pub use docks_proto::freshness::Validator;
pub use docks_proto::paging::PageRequest;
pub use error::{FaultClass, RemoteError};
pub use remote::{ActionTarget, Remote, RemoteProperties};
