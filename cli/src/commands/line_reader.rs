//! Lines of a file, a bounded piece at a time, so that no file needs its size in memory.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use crate::grep::{Grep, Scan};

/// Longest line that is taken as one; a longer one comes in pieces.
const MOST_BYTES: u64 = 1 << 20;

/// Bytes that are read at once, and looked through backwards.
const BLOCK_BYTES: u64 = 256 * 1024;

/// Lines of a file from some place on.
pub(super) struct Lines {
    reader: BufReader<File>,
    at_bytes: u64,
    /// Whether the last piece ended its line.
    whole: bool,
}

impl Lines {
    /// Begins at a place.
    pub(super) fn from(mut file: File, at_bytes: u64) -> io::Result<Self> {
        file.seek(SeekFrom::Start(at_bytes))?;
        Ok(Self {
            reader: BufReader::with_capacity(BLOCK_BYTES as usize, file),
            at_bytes,
            whole: true,
        })
    }

    /// Returns where the next piece begins.
    pub(super) fn at_bytes(&self) -> u64 {
        self.at_bytes
    }

    /// Tells whether the last piece ended its line.
    pub(super) fn at_line_start(&self) -> bool {
        self.whole
    }

    /// Tells whether the last piece may become longer: it ends where the file does, without a
    /// line end.
    pub(super) fn may_grow(&self, piece: &[u8]) -> bool {
        !self.whole && (piece.len() as u64) < MOST_BYTES
    }

    /// Passes over lines in which nothing can be found, a block of them at most.
    pub(super) fn pass_over(&mut self, scan: &mut Scan<'_>) -> io::Result<()> {
        if !self.whole {
            return Ok(());
        }
        let block = self.reader.fill_buf()?;
        let end = memchr::memrchr(b'\n', block).map_or(0, |at| at + 1);
        let passed = scan.skippable(&block[..end], self.at_bytes);
        self.reader.consume(passed);
        self.at_bytes += passed as u64;
        Ok(())
    }

    /// Reads the next piece without its line end; false at the end of what there is now.
    pub(super) fn next(&mut self, piece: &mut Vec<u8>) -> io::Result<bool> {
        piece.clear();
        let got = (&mut self.reader)
            .take(MOST_BYTES)
            .read_until(b'\n', piece)?;
        self.at_bytes += got as u64;
        if got == 0 {
            return Ok(false);
        }
        self.whole = piece.last() == Some(&b'\n');
        if self.whole {
            piece.pop();
            piece.pop_if(|last| *last == b'\r');
        }
        Ok(true)
    }
}

/// Finds where the last lines of a file begin, reading no more of it than they are.
pub(super) fn start_of_last(file: &mut File, wanted: u64) -> io::Result<u64> {
    let mut end = file.seek(SeekFrom::End(0))?;
    let mut found = 0;
    let mut last_byte = true;
    while end > 0 && wanted > 0 {
        let start = end.saturating_sub(BLOCK_BYTES);
        file.seek(SeekFrom::Start(start))?;
        let mut block = Vec::new();
        (&mut *file).take(end - start).read_to_end(&mut block)?;
        for (at, byte) in block.iter().enumerate().rev() {
            // The line end at the very end ends the last line and begins none.
            if *byte == b'\n' && !std::mem::take(&mut last_byte) {
                found += 1;
                if found == wanted {
                    return Ok(start + at as u64 + 1);
                }
            }
            last_byte = false;
        }
        end = start;
    }
    Ok(if wanted == 0 {
        file.seek(SeekFrom::End(0))?
    } else {
        0
    })
}

/// Finds where the last lines that fit begin, and where it ended to look.
///
/// In a file that grows, the last line is left for later until it is whole.
pub(super) fn last_that_fit(
    file: File,
    wanted: usize,
    grep: &Grep,
    grows: bool,
) -> io::Result<(VecDeque<u64>, u64)> {
    let mut lines = Lines::from(file, 0)?;
    let mut scan = grep.scan();
    let (mut piece, mut found) = (Vec::new(), VecDeque::new());
    loop {
        lines.pass_over(&mut scan)?;
        let at = lines.at_bytes();
        if !lines.next(&mut piece)? || (grows && lines.may_grow(&piece)) {
            return Ok((found, at));
        }
        if grep.matches(&piece) {
            found.push_back(at);
            if found.len() > wanted {
                found.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(text: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        file
    }

    #[test]
    fn the_last_lines_are_found_from_behind() {
        for (text, wanted, rest) in [
            ("a\nb\nc\n", 2, "b\nc\n"),
            ("a\nb\nc", 2, "b\nc"),
            ("a\nb\nc\n", 9, "a\nb\nc\n"),
            ("a\nb\nc\n", 0, ""),
            ("", 3, ""),
            ("\n\n", 1, "\n"),
        ] {
            let start = start_of_last(&mut file(text.as_bytes()), wanted).unwrap();
            assert_eq!(&text[start as usize..], rest, "{text:?} {wanted}");
        }
        let long = "x".repeat(200_000) + "\nlast\n";
        let start = start_of_last(&mut file(long.as_bytes()), 1).unwrap();
        assert_eq!(start, 200_001);
    }

    #[test]
    fn an_endless_line_comes_in_pieces() {
        let text = [vec![b'x'; 2_500_000], b"\r\nshort".to_vec()].concat();
        let mut lines = Lines::from(file(&text), 0).unwrap();
        let (mut piece, mut lengths) = (Vec::new(), Vec::new());
        while lines.next(&mut piece).unwrap() {
            lengths.push((piece.len(), lines.at_line_start()));
        }
        assert_eq!(lengths[0], (1 << 20, false));
        assert_eq!(lengths[2], (2_500_000 - (2 << 20), true));
        assert_eq!(lengths[3], (5, false));
    }
}
