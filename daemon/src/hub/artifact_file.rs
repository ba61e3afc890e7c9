//! Files below the jobs directory, opened without following links, and sent in chunks.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use docks_proto::beneath::RootDirectory;
use futures_util::{Stream, stream};
use headers::ETag;
use rustix::fs::{FileType, Stat};

/// How much is read at once.
const CHUNK_BYTES: u64 = 128 << 10;

/// An open file.
#[derive(Debug)]
pub(super) struct ArtifactFile {
    file: File,
    /// Its size when it was opened; what is appended later is not sent.
    pub(super) size_bytes: u64,
    /// A strong validator: the same only for the same file with the same modification time and size.
    pub(super) etag: ETag,
}

/// Decodes a percent-encoded path below the jobs directory; `None` if it could leave the directory.
pub(super) fn path_below(encoded: &str) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for segment in encoded.split('/') {
        let bytes: Vec<u8> = percent_encoding::percent_decode_str(segment).collect();
        let name = OsStr::from_bytes(&bytes);
        let mut components = Path::new(name).components();
        let plain = matches!(
            (components.next(), components.next()),
            (Some(Component::Normal(only)), None) if only == name
        );
        if !plain || bytes.contains(&0) {
            return None;
        }
        path.push(name);
    }
    Some(path)
}

/// Opens a regular file below `root`. Blocks.
///
/// # Errors
///
/// The error of the system. A link anywhere in the path is one, and so is anything but a regular file.
pub(super) fn open_below(root: &Path, below: &Path) -> io::Result<ArtifactFile> {
    let file = RootDirectory::open(root)?.open_file(below)?;
    let stat = rustix::fs::fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(ArtifactFile {
        file,
        size_bytes: u64::try_from(stat.st_size).unwrap_or(0),
        etag: etag(&stat),
    })
}

fn etag(stat: &Stat) -> ETag {
    let text = format!(
        "\"{:x}-{:x}.{:x}-{:x}\"",
        stat.st_ino, stat.st_mtime, stat.st_mtime_nsec, stat.st_size
    );
    text.parse().expect("digits in quotes are an entity tag")
}

impl ArtifactFile {
    /// Streams a part of the file. If the file has become shorter meanwhile the stream fails, so that the client
    /// does not take what has arrived for the whole part.
    pub(super) fn stream(
        self,
        first: u64,
        count: u64,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        stream::try_unfold((Some(self.file), first, count), |state| async move {
            let (Some(file), at, left) = state else {
                return Ok(None);
            };
            if left == 0 {
                return Ok(None);
            }
            let reading = tokio::task::spawn_blocking(move || read(file, at, left));
            let (chunk, file) = reading.await.map_err(io::Error::other)??;
            let got = chunk.len() as u64;
            Ok(Some((chunk, (Some(file), at + got, left - got))))
        })
    }
}

fn read(mut file: File, at: u64, left: u64) -> io::Result<(Bytes, File)> {
    let mut chunk = vec![0; usize::try_from(left.min(CHUNK_BYTES)).unwrap_or(0)];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut chunk)?;
    Ok((chunk.into(), file))
}

#[cfg(test)]
mod tests {
    use rustix::fs::Mode;

    use super::*;
    use futures_util::TryStreamExt;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn no_path_leaves_the_directory() {
        assert_eq!(path_below("j/a%20b.txt"), Some("j/a b.txt".into()));
        for bad in [
            "",
            "/",
            "..",
            "j/..",
            "j/%2e%2e/x",
            "j/%2E./x",
            "j//a",
            "/j",
            "j/",
            "./j",
            "j/a%2Fb",
            "j/%2e",
            "j/a%00",
            "%2Fetc%2Fpasswd",
        ] {
            assert_eq!(path_below(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_regular_files_outside_of_links_are_opened() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "s").unwrap();
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("j")).unwrap();
        fs::write(root.path().join("j/fine"), "fine").unwrap();
        symlink(outside.path(), root.path().join("out")).unwrap();
        symlink(outside.path().join("secret"), root.path().join("j/link")).unwrap();
        symlink(root.path().join("j/fine"), root.path().join("j/inside")).unwrap();
        rustix::fs::mkfifoat(
            rustix::fs::CWD,
            root.path().join("j/pipe"),
            Mode::RUSR | Mode::WUSR,
        )
        .unwrap();
        let open = |name: &str| open_below(root.path(), Path::new(name));
        assert_eq!(open("j/fine").unwrap().size_bytes, 4);
        for bad in ["out/secret", "j/link", "j/inside", "j", "j/pipe", "j/none"] {
            assert!(open(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_part_is_exactly_that_part_and_a_truncated_file_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        let content: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        fs::write(&path, &content).unwrap();
        let open = || open_below(root.path(), Path::new("file")).unwrap();
        let got: Vec<Bytes> = open().stream(5, 200_000).try_collect().await.unwrap();
        assert_eq!(got.concat(), content[5..200_005]);
        let opened = open();
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(1_000)
            .unwrap();
        assert!(
            opened
                .stream(0, 300_000)
                .try_collect::<Vec<_>>()
                .await
                .is_err()
        );
    }
}
