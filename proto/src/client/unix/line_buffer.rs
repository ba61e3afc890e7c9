//! Splits a body that arrives in pieces into lines.

use bytes::{Bytes, BytesMut};

/// The part of a body that has arrived and was not returned yet.
#[derive(Debug, Default)]
pub(crate) struct LineBuffer {
    pending: BytesMut,
    /// Bytes of `pending` that contain no line end.
    searched: usize,
}

impl LineBuffer {
    /// Appends a piece.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.pending.extend_from_slice(piece);
    }

    /// Returns how many bytes wait for the rest of their line.
    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    /// Returns the next line that is complete, without its line end.
    pub(crate) fn next_line(&mut self) -> Option<Bytes> {
        let new = self.pending.iter().skip(self.searched);
        match new.copied().position(|byte| byte == b'\n') {
            Some(at) => {
                let line = self.pending.split_to(self.searched + at);
                // The line end, which was found just there.
                drop(self.pending.split_to(1));
                self.searched = 0;
                Some(line.freeze())
            }
            None => {
                self.searched = self.pending.len();
                None
            }
        }
    }

    /// Returns what is left at the end of the body.
    pub(crate) fn take_rest(&mut self) -> Bytes {
        self.searched = 0;
        self.pending.split().freeze()
    }
}
