//! Looks for damage in a write-ahead log before SQLite opens it, and repairs a copy.
//!
//! SQLite reads a log up to the first frame whose checksum does not fit, and drops the rest. That is right
//! for the end of a log that a power cut tore. Of a log that is damaged further in front, it would
//! drop commits that were whole; and if part of them is in the database already, pages of different
//! commits would be mixed. Formats as in <https://sqlite.org/fileformat2.html#walformat> and
//! <https://sqlite.org/walformat.html>.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use super::file::with_suffix;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// Magic number of a log whose checksums read little-endian words; the last bit means big-endian.
const MAGIC: u32 = 0x377f_0682;
const FORMAT: u32 = 3_007_000;

/// What is wrong with a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WalDamage {
    /// A frame, or the header, in front of whole commits.
    Frame,
    /// Frames at the end are missing, all of which are in the database.
    EndInDatabase,
    /// Frames at the end are missing, and only some of them are in the database.
    EndPartlyInDatabase,
}

/// Looks for damage in the log of a database that nobody has open.
pub(super) fn find_damage(database: &Path) -> io::Result<Option<WalDamage>> {
    let Some(mut log) = Log::open(database)? else {
        return Ok(None);
    };
    let (mut whole, mut broken, mut dropped_commits) = (0, !log.header_fits, 0);
    let mut frame = Frame::default();
    while log.read(&mut frame)? {
        broken |= !frame.fits;
        if !broken {
            whole += 1;
        } else if frame.is_commit() && frame.has_salt(&log) {
            dropped_commits += 1;
        }
    }
    // A power cut may tear the last commit; SQLite is right to drop that one.
    if dropped_commits > 1 {
        return Ok(Some(WalDamage::Frame));
    }
    let index = fs::read(with_suffix(database, "-shm")).unwrap_or_default();
    let known = SharedIndex::parse(&index, log.salt);
    Ok(known
        .filter(|known| known.frames > whole)
        .and_then(|known| match known.in_database {
            0 => None,
            copied if copied >= known.frames => Some(WalDamage::EndInDatabase),
            _ => Some(WalDamage::EndPartlyInDatabase),
        }))
}

/// Writes the log of `database` to `repaired` with checksums that fit, up to its last commit, so that
/// SQLite reads all its frames; what is wrong in one of them has to be found by other means.
pub(super) fn repair(database: &Path, repaired: &Path) -> io::Result<()> {
    let mut last_commit = 0;
    let mut frame = Frame::default();
    if let Some(mut log) = Log::open(database)? {
        for number in 1_u64.. {
            if !log.read(&mut frame)? {
                break;
            }
            if frame.is_commit() && frame.has_salt(&log) {
                last_commit = number;
            }
        }
    }
    let Some(mut log) = Log::open(database)? else {
        return Ok(());
    };
    let pages = fs::metadata(database)?.len() / log.page_bytes as u64 + last_commit;
    let mut out = BufWriter::new(File::create(repaired)?);
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&MAGIC.to_be_bytes());
    header[4..8].copy_from_slice(&FORMAT.to_be_bytes());
    let page_bytes = u32::try_from(log.page_bytes).unwrap_or(0);
    header[8..12].copy_from_slice(&page_bytes.to_be_bytes());
    header[16..24].copy_from_slice(&log.salt);
    let mut sum = Checksum::default();
    sum.add(&header[..24], false);
    header[24..].copy_from_slice(&sum.bytes());
    out.write_all(&header)?;
    for _ in 0..last_commit {
        if !log.read(&mut frame)? {
            break;
        }
        // A frame of a page that cannot exist would make the others unreadable.
        let page = u64::from(word(&frame.header, 0));
        if page == 0 || page > pages || u64::from(word(&frame.header, 4)) > pages {
            continue;
        }
        frame.header[8..16].copy_from_slice(&log.salt);
        sum.add(&frame.header[..8], false);
        sum.add(&frame.page, false);
        frame.header[16..24].copy_from_slice(&sum.bytes());
        out.write_all(&frame.header)?;
        out.write_all(&frame.page)?;
    }
    out.flush()
}

/// A log that is read from its beginning.
struct Log {
    file: BufReader<File>,
    page_bytes: usize,
    /// Both salts, which tell frames of this log from those of an earlier one in the same file.
    salt: [u8; 8],
    header_fits: bool,
    big_endian: bool,
    sum: Checksum,
}

impl Log {
    /// Opens the log of a database; `None` if it has none, or one without frames.
    fn open(database: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(with_suffix(database, "-wal")) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut file = BufReader::with_capacity(1 << 18, file);
        let (mut header, mut first) = ([0; HEADER_BYTES], [0; FRAME_HEADER_BYTES]);
        if !fill(&mut file, &mut header)? || !fill(&mut file, &mut first)? {
            return Ok(None);
        }
        file.seek_relative(-(FRAME_HEADER_BYTES as i64))?;
        let magic = word(&header, 0);
        let big_endian = magic == MAGIC | 1;
        let mut sum = Checksum::default();
        sum.add(&header[..24], big_endian);
        let header_fits = magic & !1 == MAGIC && sum.bytes() == header[24..];
        let salt = match header_fits {
            true => &header[16..24],
            // The frames have it too.
            false => &first[8..16],
        };
        let page_bytes = match header_fits {
            true => word(&header, 8) as usize,
            false => page_bytes_of(database)?,
        };
        Ok(Some(Self {
            salt: salt.try_into().unwrap_or_default(),
            file,
            page_bytes,
            header_fits,
            big_endian,
            sum,
        }))
    }

    /// Reads the next frame; returns `false` at the end.
    fn read(&mut self, frame: &mut Frame) -> io::Result<bool> {
        frame.page.resize(self.page_bytes, 0);
        if !fill(&mut self.file, &mut frame.header)? || !fill(&mut self.file, &mut frame.page)? {
            return Ok(false);
        }
        self.sum.add(&frame.header[..8], self.big_endian);
        self.sum.add(&frame.page, self.big_endian);
        frame.fits = frame.has_salt(self) && self.sum.bytes() == frame.header[16..24];
        Ok(true)
    }
}

/// One page as a commit left it.
#[derive(Default)]
struct Frame {
    header: [u8; FRAME_HEADER_BYTES],
    page: Vec<u8>,
    /// Whether its checksum continues that of the frames before.
    fits: bool,
}

impl Frame {
    fn is_commit(&self) -> bool {
        word(&self.header, 4) != 0
    }

    fn has_salt(&self, log: &Log) -> bool {
        self.header[8..16] == log.salt
    }
}

/// The checksum of a log, which goes on from frame to frame.
#[derive(Default, Clone, Copy)]
struct Checksum(u32, u32);

impl Checksum {
    fn add(&mut self, bytes: &[u8], big_endian: bool) {
        let read = match big_endian {
            true => u32::from_be_bytes,
            false => u32::from_le_bytes,
        };
        for pair in bytes.chunks_exact(8) {
            let number = |at: usize| read([pair[at], pair[at + 1], pair[at + 2], pair[at + 3]]);
            self.0 = self.0.wrapping_add(number(0)).wrapping_add(self.1);
            self.1 = self.1.wrapping_add(number(4)).wrapping_add(self.0);
        }
    }

    fn bytes(self) -> [u8; 8] {
        let (first, second) = (self.0.to_be_bytes(), self.1.to_be_bytes());
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&first);
        bytes[4..].copy_from_slice(&second);
        bytes
    }
}

/// What the shared memory of the last process says about the log.
struct SharedIndex {
    frames: u32,
    in_database: u32,
}

impl SharedIndex {
    /// Reads it, unless it is torn or about another log.
    fn parse(index: &[u8], salt: [u8; 8]) -> Option<Self> {
        let (first, second) = (index.get(..48)?, index.get(48..96)?);
        let native = |at: usize| {
            let bytes = index.get(at..at + 4)?.try_into().ok()?;
            Some(u32::from_ne_bytes(bytes))
        };
        let is_valid = first == second && native(0)? == FORMAT && first[32..40] == salt;
        is_valid.then_some(Self {
            frames: native(16)?,
            in_database: native(96)?,
        })
    }
}

/// Reads the page size from the header of the database.
fn page_bytes_of(database: &Path) -> io::Result<usize> {
    let mut header = [0; 18];
    File::open(database)?.read_exact(&mut header)?;
    Ok(match u16::from_be_bytes([header[16], header[17]]) {
        1 => 1 << 16,
        bytes => usize::from(bytes).max(512),
    })
}

/// Reads until the buffer is full; returns `false` if the file ends before.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Reads a big-endian word.
fn word(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_be_bytes(word)
}
