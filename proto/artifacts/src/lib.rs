//! Artifacts of trials: downloads, the cache, and the files on disk.
//!
//! Owns everything between the addresses of artifacts and files on disk. Knows neither the daemon
//! nor the Docks API, and prints nothing: the caller passes trials and is notified through
//! [`Observer`].
//!
//! - [`layout`] decides file names, [`sanitise`] makes them safe, [`pattern`] selects files;
//! - [`media`] finds what a downloaded trajectory points to;
//! - only [`output_directory`] and `partial` create files in an output directory;
//! - [`source`] reads an address, [`cache`] stores downloaded content, [`download`] does the work,
//!   and [`remote_tail`] follows a remote file that grows;
//! - [`owner`] keeps apart what different owners have downloaded.

// What strangers send is read here: a wrong index must not end the program.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::string_slice))]

mod artifact;
pub mod cache;
pub mod digest;
pub mod download;
mod forget_mirror;
#[cfg(test)]
mod fuzz;
pub mod layout;
pub mod media;
pub mod output_directory;
pub mod owner;
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
pub use forget_mirror::forget_mirror;
pub use trial::TrialArtifacts;
