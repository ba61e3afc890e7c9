//! The frames of a WAL, as <https://www.sqlite.org/fileformat.html#the_write_ahead_log> defines them.

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// The log of one database, read from a file that was never reset.
pub(super) struct Wal {
    pub(super) bytes: Vec<u8>,
    frame: usize,
}

impl Wal {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        let page = bytes[8..12].try_into().unwrap();
        let frame = FRAME_HEADER + usize::try_from(u32::from_be_bytes(page)).unwrap();
        assert_eq!(
            (bytes.len() - HEADER) % frame,
            0,
            "the WAL has whole frames"
        );
        Self { bytes, frame }
    }

    /// Returns where each frame begins, and where the last one ends.
    pub(super) fn boundaries(&self) -> Vec<usize> {
        (HEADER..=self.bytes.len()).step_by(self.frame).collect()
    }

    /// Returns where each commit ends: behind a frame that says how many pages the database has.
    pub(super) fn commit_ends(&self) -> Vec<usize> {
        let frames = self.bytes[HEADER..].chunks_exact(self.frame);
        self.boundaries()
            .into_iter()
            .skip(1)
            .zip(frames)
            .filter(|(_, frame)| frame[4..8] != [0; 4])
            .map(|(end, _)| end)
            .collect()
    }

    /// Returns where the frame begins that holds the byte at `offset`; 0 for one of the header.
    pub(super) fn frame_start(&self, offset: usize) -> usize {
        match offset.checked_sub(HEADER) {
            Some(in_frames) => HEADER + in_frames / self.frame * self.frame,
            None => 0,
        }
    }
}
