//! Reads the lines of a file in bounded pieces, so that memory does not grow with the file.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use crate::grep::{Grep, Scan};

/// Longest line that is returned whole; a longer one comes in pieces.
const MOST_BYTES: u64 = 1 << 20;

/// Bytes that are read at once, forwards and backwards.
const BLOCK_BYTES: u64 = 256 * 1024;

/// Reads the lines of a file from an offset on.
pub(super) struct LineReader {
    reader: BufReader<File>,
    at_bytes: u64,
    /// Whether the last piece ended its line.
    whole: bool,
}

impl LineReader {
    /// Starts reading at an offset.
    pub(super) fn new(mut file: File, at_bytes: u64) -> io::Result<Self> {
        file.seek(SeekFrom::Start(at_bytes))?;
        Ok(Self {
            reader: BufReader::with_capacity(BLOCK_BYTES as usize, file),
            at_bytes,
            whole: true,
        })
    }

    /// Returns the offset of the next piece.
    pub(super) fn at_bytes(&self) -> u64 {
        self.at_bytes
    }

    /// Returns whether the last piece ended its line.
    pub(super) fn at_line_start(&self) -> bool {
        self.whole
    }

    /// Returns whether the last piece may become longer: it ends at the end of the file, without
    /// a line end.
    pub(super) fn may_grow(&self, piece: &[u8]) -> bool {
        !self.whole && (piece.len() as u64) < MOST_BYTES
    }

    /// Skips lines that cannot match, at most a block of them.
    pub(super) fn skip_non_matching(&mut self, scan: &mut Scan<'_>) -> io::Result<()> {
        if !self.whole {
            return Ok(());
        }
        let block = self.reader.fill_buf()?;
        let end = memchr::memrchr(b'\n', block).map_or(0, |at| at + 1);
        let passed = scan.skippable(block.get(..end).unwrap_or_default(), self.at_bytes);
        self.reader.consume(passed);
        self.at_bytes += passed as u64;
        Ok(())
    }

    /// Reads the next piece without its line end; returns false at the current end of the file.
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

/// Returns the offset of the last `wanted` lines of a file; reads no more than those.
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
            // The line end at the very end of the file ends the last line and starts none.
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

/// Returns the offsets of the last `wanted` lines that match, and the offset where reading ended.
///
/// In a file that grows, an incomplete last line is left for later.
pub(super) fn last_matching(
    file: File,
    wanted: usize,
    grep: &Grep,
    grows: bool,
) -> io::Result<(VecDeque<u64>, u64)> {
    let mut lines = LineReader::new(file, 0)?;
    let mut scan = grep.scan();
    let (mut piece, mut found) = (Vec::new(), VecDeque::new());
    loop {
        lines.skip_non_matching(&mut scan)?;
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
    fn the_last_lines_are_found_by_reading_backwards() {
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
        let mut lines = LineReader::new(file(&text), 0).unwrap();
        let (mut piece, mut lengths) = (Vec::new(), Vec::new());
        while lines.next(&mut piece).unwrap() {
            lengths.push((piece.len(), lines.at_line_start()));
        }
        assert_eq!(lengths[0], (1 << 20, false));
        assert_eq!(lengths[2], (2_500_000 - (2 << 20), true));
        assert_eq!(lengths[3], (5, false));
    }
}
