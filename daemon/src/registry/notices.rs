//! What users should know about what a remote shows, such as what it left out: said once.

use std::sync::{Arc, Mutex, PoisonError};

use docksd_remote::Remote;

/// The notices of one remote.
pub(crate) struct Notices {
    remote: Arc<dyn Remote>,
    /// The last one that somebody was told.
    told: Mutex<Option<String>>,
}

impl Notices {
    pub(super) fn new(remote: Arc<dyn Remote>) -> Self {
        Self {
            remote,
            told: Mutex::default(),
        }
    }

    /// Returns the present notice.
    pub(crate) fn current(&self) -> Option<String> {
        self.remote.notice().map(|notice| notice.text)
    }

    /// Returns the notice that goes with a list: one that nobody was told, or that explains why the list is empty.
    pub(crate) fn for_list(&self, is_empty: bool) -> Option<String> {
        let notice = self.remote.notice();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(notice) = notice else {
            *told = None;
            return None;
        };
        let is_new = told.as_ref() != Some(&notice.text);
        *told = Some(notice.text.clone());
        (is_new || (is_empty && notice.explains_emptiness)).then_some(notice.text)
    }
}
