//! The user's desktop session: its keyring and its notifications, each with a time limit.
//!
//! The daemon uses both in its own process; the command line, which does not link the D-Bus
//! library, runs `docksd` as its [`helper`].

pub mod helper;
mod keyring;
mod notifier;

pub use keyring::{SystemKeyring, system_keyring};
pub use notifier::DesktopNotifier;
