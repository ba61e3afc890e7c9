//! The one hash of names and keys that are stored: FNV-1a, 64 bits.
//!
//! The standard library's hasher may change between compilers; these values are in file names,
//! databases and validators, so they must not. FNV is no protection against people who choose
//! their input: it must not guard anything.

/// Hashes bytes with [FNV-1a](http://www.isthe.com/chongo/tech/comp/fnv/), 64 bits.
#[must_use]
pub fn fnv1a_64(bytes: impl AsRef<[u8]>) -> u64 {
    let mut hash = Fnv1a64::default();
    hash.write(bytes.as_ref());
    hash.finish()
}

/// The same hash for input that comes in parts: the parts joined give the same value.
#[derive(Debug, Clone)]
pub struct Fnv1a64(u64);

impl Default for Fnv1a64 {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv1a64 {
    /// Adds the next part.
    pub fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// Returns the hash of everything that was added.
    #[must_use]
    pub fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_are_those_of_the_fnv_reference() {
        // From `test_fnv.c` of the reference implementation.
        for (text, hash) in [
            ("", 0xcbf2_9ce4_8422_2325),
            ("a", 0xaf63_dc4c_8601_ec8c),
            ("b", 0xaf63_df4c_8601_f1a5),
            ("foobar", 0x8594_4171_f739_67e8),
        ] {
            assert_eq!(fnv1a_64(text), hash, "{text}");
        }
    }

    #[test]
    fn parts_hash_like_the_whole() {
        let mut hash = Fnv1a64::default();
        hash.write(b"foo");
        hash.write(b"bar");
        assert_eq!(hash.finish(), fnv1a_64("foobar"));
    }
}
