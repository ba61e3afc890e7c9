//! Reads a JSON file of any size with what strict parsers refuse mended.

use std::fs::File;
use std::io::{self, Read};

use docks_proto::repair::Repairer;

use crate::output::Output;

/// Bytes that are read at once.
const BLOCK_BYTES: usize = 64 * 1024;

/// Reads a file; if it is JSON, half surrogate pairs, `NaN` and the like are mended, and invalid
/// UTF-8 is replaced.
///
/// Every other file is passed on unchanged.
#[derive(Debug)]
pub(super) struct RepairingReader {
    file: File,
    /// `None` for a file that is not JSON.
    repairer: Option<Repairer>,
    started: bool,
    /// What was read and is not mended yet: the beginning of a character.
    incomplete: Vec<u8>,
    /// What is mended, and how much of it was returned.
    mended: Vec<u8>,
    returned: usize,
}

impl RepairingReader {
    /// Starts where the file is.
    pub(super) fn new(file: File) -> Self {
        Self {
            file,
            repairer: None,
            started: false,
            incomplete: Vec::new(),
            mended: Vec::new(),
            returned: 0,
        }
    }

    /// Returns how many bytes can be returned now.
    fn ready(&self) -> usize {
        let settled = match &self.repairer {
            Some(repairer) => repairer.settled(&self.mended),
            None => self.mended.len(),
        };
        settled - self.returned
    }

    /// Reads the next block; returns false at the end of the file.
    fn fill(&mut self) -> io::Result<bool> {
        self.mended.drain(..self.returned);
        self.returned = 0;
        let mut block = std::mem::take(&mut self.incomplete);
        let limit = BLOCK_BYTES as u64;
        let is_end = (&mut self.file).take(limit).read_to_end(&mut block)? == 0;
        if !self.started && !block.is_empty() {
            self.started = true;
            let first = block.trim_ascii_start().first();
            let is_json = matches!(first, Some(b'{' | b'['));
            self.repairer = is_json.then(Repairer::default);
        }
        let Some(repairer) = &mut self.repairer else {
            self.mended.extend_from_slice(&block);
            return Ok(!is_end);
        };
        let mut rest = block.as_slice();
        while let Err(error) = std::str::from_utf8(rest) {
            let (valid, invalid) = rest.split_at(error.valid_up_to());
            repairer.push(valid, &mut self.mended);
            match error.error_len() {
                None if !is_end => {
                    self.incomplete = invalid.to_vec();
                    rest = &[];
                }
                length => {
                    repairer.push("\u{fffd}".as_bytes(), &mut self.mended);
                    (_, rest) = invalid.split_at(length.unwrap_or(invalid.len()));
                }
            }
        }
        repairer.push(rest, &mut self.mended);
        if is_end {
            repairer.finish(&mut self.mended);
        }
        Ok(!is_end)
    }
}

impl Read for RepairingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.ready() == 0 && self.fill()? {}
        let end = self.returned + self.ready();
        let mut ready = self.mended.get(self.returned..end).unwrap_or_default();
        let count = ready.read(buffer)?;
        self.returned += count;
        Ok(count)
    }
}

/// Prints a file, mended if it is JSON; `ends_line` adds a line end where the file has none.
///
/// # Errors
///
/// When it cannot be read.
pub(super) fn print_file(output: &Output, file: File, ends_line: bool) -> io::Result<()> {
    let mut reader = RepairingReader::new(file);
    let mut piece = vec![0; BLOCK_BYTES];
    let mut last = b'\n';
    while !output.stdout_is_closed() {
        let count = reader.read(&mut piece)?;
        let read = piece.get(..count).unwrap_or_default();
        let Some(end) = read.last() else {
            break;
        };
        last = *end;
        output.data(read);
    }
    if ends_line && last != b'\n' {
        output.data("\n");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use super::*;

    fn read(content: &[u8]) -> Vec<u8> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file.rewind().unwrap();
        let mut read = Vec::new();
        RepairingReader::new(file).read_to_end(&mut read).unwrap();
        read
    }

    #[test]
    fn values_are_mended_wherever_a_block_ends() {
        for spaces in BLOCK_BYTES - 30..BLOCK_BYTES {
            let pad = " ".repeat(spaces);
            let content = [
                format!("[{pad}\"é\\ud83d\",-Infinity,\"").as_bytes(),
                b"\xff\xc3\",1e9]\r\n",
            ]
            .concat();
            let expected =
                format!("[{pad}\"é\\ufffd\",\"-Infinity\",\"\u{fffd}\u{fffd}\",1e9]\r\n");
            assert!(read(&content) == expected.as_bytes(), "{spaces}");
        }
    }

    #[test]
    fn what_is_not_json_and_what_is_fine_stays_as_it_is() {
        for content in [
            &b"no json: NaN, \xff \"a\nb\""[..],
            b"NaN",
            b"",
            b"  \n",
            br#" {"a":"\ud83d\ude00","b":[1.50,"NaN"]} "#,
        ] {
            assert_eq!(read(content), content);
        }
        let long = format!("[{}NaN]", "1".repeat(3 * BLOCK_BYTES));
        assert!(read(long.as_bytes()) == long.as_bytes());
        assert_eq!(read(b"[NaN"), b"[\"NaN\"");
    }
}
