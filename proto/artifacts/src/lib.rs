//! Artifacts of trials: where they go, how they are fetched, kept and written.
//!
//! Owns everything between "these trials have these addresses" and files on
//! disk. Knows neither the daemon nor the Docks API, and prints nothing: whoever
//! calls gives it trials and hears through [`Observer`] what happens.
//!
//! - [`layout`] decides names, [`sanitise`] makes them safe, [`pattern`] picks some;
//! - [`output_directory`] and `partial` are the only places that create files in an output directory;
//! - [`source`] opens an address, [`cache`] keeps what was fetched, [`download`] carries out,
//!   [`remote_tail`] follows.

mod artifact;
pub mod cache;
pub mod digest;
pub mod download;
pub mod layout;
pub mod output_directory;
mod partial;
pub mod pattern;
pub mod remote_tail;
pub mod sanitise;
pub mod size;
pub mod source;
mod trial;
pub mod version;

pub use artifact::{ArtifactRequest, ArtifactType};
pub use download::{FileOrigin, FinishedFile, Observer, SilentObserver};
pub use trial::TrialArtifacts;
