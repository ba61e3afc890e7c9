//! The hidden name of a partial file, `.NAME.part`, and the file that has it.

use std::fs::File;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::output_directory::{OutputError, OutputFile};

pub(super) fn temporary(output_file: &OutputFile) -> String {
    format!(".{}.part", output_file.file_name)
}

/// Opens or creates the partial file; refuses one that is reachable under another name.
pub(super) fn open(output_file: &OutputFile, temporary: &str) -> Result<File, OutputError> {
    let flags =
        OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o666);
    let file = match rustix::fs::openat(&output_file.directory, temporary, flags, mode) {
        Ok(file) => file,
        Err(Errno::LOOP | Errno::MLINK | Errno::ISDIR | Errno::NXIO) => {
            return Err(obstructed(output_file, temporary));
        }
        Err(errno) => return Err(output_file.write_error(errno.into())),
    };
    let stat = rustix::fs::fstat(&file).map_err(|errno| output_file.write_error(errno.into()))?;
    let plain = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    // A link count of 0 is accepted: the file was just renamed, and the caller opens a new one.
    if !plain || stat.st_nlink > 1 || stat.st_uid != rustix::process::geteuid().as_raw() {
        return Err(obstructed(output_file, temporary));
    }
    Ok(File::from(file))
}

fn obstructed(output_file: &OutputFile, temporary: &str) -> OutputError {
    OutputError::Obstructed {
        path: output_file.display_path.with_file_name(temporary),
    }
}

pub(super) fn is_still_named(
    output_file: &OutputFile,
    temporary: &str,
    file: &File,
) -> Result<bool, OutputError> {
    let failed = |errno: Errno| output_file.write_error(errno.into());
    let open = rustix::fs::fstat(file).map_err(failed)?;
    match rustix::fs::statat(&output_file.directory, temporary, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(named) => Ok((named.st_dev, named.st_ino) == (open.st_dev, open.st_ino)),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(failed(errno)),
    }
}
