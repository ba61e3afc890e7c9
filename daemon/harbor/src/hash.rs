//! The hash of lists of texts.

use docks_proto::hash::Fnv1a64;

/// Hashes texts together with their lengths, so that moving text from one to the next gives another hash.
pub(crate) fn hash_texts<'a>(texts: impl Iterator<Item = &'a [u8]>) -> u64 {
    let mut hash = Fnv1a64::default();
    for text in texts {
        hash.write(&text.len().to_le_bytes());
        hash.write(text);
    }
    hash.finish()
}
