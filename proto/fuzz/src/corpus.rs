//! The seed files of a target, and the words that are found in them.

use std::path::Path;

use crate::change::{Change, apply};

/// The seed files of a target.
pub(crate) struct Corpus {
    files: Vec<(String, Vec<u8>)>,
    /// Every word, string and punctuation mark of the files, each once: what a changed file may also contain.
    words: Vec<Vec<u8>>,
}

impl Corpus {
    /// Reads the files of a folder.
    pub(crate) fn read(folder: &Path) -> Self {
        let entries = std::fs::read_dir(folder)
            .unwrap_or_else(|error| panic!("no corpus at {}: {error}", folder.display()));
        let mut files: Vec<(String, Vec<u8>)> = entries
            .map(|entry| {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                (name, std::fs::read(path).unwrap())
            })
            .collect();
        assert!(!files.is_empty(), "no files in {}", folder.display());
        // The same seed makes the same inputs on every file system.
        files.sort();
        let tokens = files.iter().flat_map(|(_, bytes)| tokens(bytes));
        let mut words: Vec<Vec<u8>> = tokens.map(<[u8]>::to_vec).collect();
        words.sort();
        words.dedup();
        Self { files, words }
    }

    /// Returns the files.
    pub(crate) fn files(&self) -> impl Iterator<Item = &[u8]> {
        self.files.iter().map(|(_, bytes)| bytes.as_slice())
    }

    /// Returns how many files there are.
    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    /// Returns the name of a file.
    pub(crate) fn name(&self, file: usize) -> &str {
        &self.files[file].0
    }

    /// Returns a file with changes, one after the other.
    pub(crate) fn changed(&self, file: usize, changes: &[Change]) -> Vec<u8> {
        let start = self.files[file].1.clone();
        changes
            .iter()
            .fold(start, |bytes, change| apply(change, &bytes, &self.words))
    }
}

/// Splits bytes into words, strings in quotes, runs of spaces, and single other bytes.
pub(crate) fn tokens(bytes: &[u8]) -> Vec<&[u8]> {
    let is_word =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte) || !byte.is_ascii();
    let mut tokens = Vec::new();
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        let run = |is: &dyn Fn(&u8) -> bool| rest.iter().take_while(|byte| is(byte)).count();
        let length = match first {
            b'"' => match rest[1..].iter().position(|byte| *byte == b'"') {
                Some(end) => end + 2,
                None => 1,
            },
            b' ' => run(&|byte| *byte == b' '),
            byte if is_word(byte) => run(&is_word),
            _ => 1,
        };
        let (token, after) = rest.split_at(length);
        tokens.push(token);
        rest = after;
    }
    tokens
}
