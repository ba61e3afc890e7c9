//! The VFS: passes each call to the one of the system, unless it is to fail.

#![expect(
    unsafe_code,
    reason = "SQLite takes a VFS as a table of C functions, and files as memory that it allocated"
)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::size_of;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rusqlite::ffi;

use crate::calls::{Call, Calls, Failure, calls_of};

/// Name of the VFS that never fails: SQLite's own.
pub const SOUND_VFS: &str = "unix";

/// A file of a watched database, in memory that SQLite allocated. The file of the system's VFS
/// follows it, at [`SYSTEM_FILE`].
#[repr(C)]
struct WatchedFile {
    /// First, so that a pointer to this is one to what SQLite knows.
    base: ffi::sqlite3_file,
    /// From [`Arc::into_raw`]; given back by [`close`].
    calls: *const Calls,
}

/// Where the file of the system's VFS begins; SQLite aligns files to 8 bytes.
const SYSTEM_FILE: usize = size_of::<WatchedFile>().next_multiple_of(8);

/// The system's VFS, which exists as long as the process.
struct System(*mut ffi::sqlite3_vfs);

// SAFETY: SQLite never changes a registered VFS, except for the link to the next one, which it
// guards; calling one from any thread is what it is made for.
unsafe impl Send for System {}
// SAFETY: as above.
unsafe impl Sync for System {}

static SYSTEM: OnceLock<System> = OnceLock::new();

/// Makes the VFS the default one of the process, once.
pub(crate) fn register() {
    SYSTEM.get_or_init(|| {
        let name = std::ffi::CString::new(SOUND_VFS).expect("the name has no zero byte");
        // SAFETY: the name lives during the call. The found VFS is never unregistered. The new one
        // is a copy, so that what it does not replace works as before, and it is leaked: it lives
        // as long as SQLite may call it.
        unsafe {
            let system = ffi::sqlite3_vfs_find(name.as_ptr());
            assert!(!system.is_null(), "SQLite has its usual VFS");
            let mut vfs = *system;
            vfs.zName = c"faulty".as_ptr();
            vfs.szOsFile += c_int::try_from(SYSTEM_FILE).expect("a file is small");
            vfs.xOpen = Some(open);
            vfs.xDelete = Some(delete);
            vfs.xAccess = Some(access);
            let code = ffi::sqlite3_vfs_register(Box::into_raw(Box::new(vfs)), 1);
            assert_eq!(code, ffi::SQLITE_OK, "SQLite takes the VFS");
            System(system)
        }
    });
}

fn system() -> *mut ffi::sqlite3_vfs {
    SYSTEM.get().expect("set before SQLite knows this VFS").0
}

/// Returns the path of a file and the calls of its database; `None` when that is not watched.
///
/// # Safety
///
/// `name` is null or ends with a zero byte, as all names that SQLite passes.
unsafe fn watched_name(name: *const c_char) -> Option<(PathBuf, Arc<Calls>)> {
    if name.is_null() {
        // A temporary file; what it holds is in no database.
        return None;
    }
    // SAFETY: the caller's promise.
    let name = unsafe { CStr::from_ptr(name) }.to_str().ok()?;
    Some((PathBuf::from(name), calls_of(name)?))
}

/// Returns how the next call for a file that is not open fails.
///
/// # Safety
///
/// As for [`watched_name`].
unsafe fn next_for_name(name: *const c_char, call: Call) -> Option<Failure> {
    // SAFETY: the caller's promise.
    unsafe { watched_name(name) }.and_then(|(_, calls)| calls.next(call))
}

/// Returns the error for a call that fails. Kills the process instead if that is the plan.
fn error_of(call: Call, failure: Failure) -> c_int {
    if matches!(failure, Failure::Kill | Failure::KillInWrite) {
        let own = rustix::process::getpid();
        // Nothing of this process runs after a signal that cannot be caught.
        rustix::process::kill_process(own, rustix::process::Signal::KILL)
            .expect("a process may kill itself");
    }
    match call {
        Call::Open | Call::Create => ffi::SQLITE_CANTOPEN,
        Call::Delete => ffi::SQLITE_IOERR_DELETE,
        Call::Access => ffi::SQLITE_IOERR_ACCESS,
        Call::Read if failure == Failure::UnreadableSector => ffi::SQLITE_IOERR_CORRUPTFS,
        Call::Read => ffi::SQLITE_IOERR_READ,
        Call::Write if failure == Failure::Io => ffi::SQLITE_IOERR_WRITE,
        Call::Write => ffi::SQLITE_FULL,
        Call::Truncate => ffi::SQLITE_IOERR_TRUNCATE,
        Call::Sync => ffi::SQLITE_IOERR_FSYNC,
        Call::FileSize => ffi::SQLITE_IOERR_FSTAT,
        Call::ExtendSharedMemory => ffi::SQLITE_IOERR_SHMSIZE,
        Call::MapSharedMemory => ffi::SQLITE_IOERR_SHMMAP,
    }
}

/// Opens a file. SQLite passes memory of `szOsFile` bytes, which is enough for both files.
unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite's arguments are valid for its own VFS, and so they are passed on. The memory
    // of `file` is large enough for a `WatchedFile` and the system's file behind it. SQLite takes
    // null methods as "not open", so they are set only for a file that is open.
    unsafe {
        let real_open = (*system()).xOpen.expect("every VFS opens files");
        let Some((path, calls)) = watched_name(name) else {
            return real_open(system(), name, file, flags, out_flags);
        };
        (*file).pMethods = std::ptr::null();
        // SQLite opens a WAL like this also if there is one.
        let creates = flags & ffi::SQLITE_OPEN_CREATE != 0 && !path.exists();
        let call = if creates { Call::Create } else { Call::Open };
        if let Some(failure) = calls.next(call) {
            return error_of(call, failure);
        }
        let code = real_open(system(), name, real(file), flags, out_flags);
        if code == ffi::SQLITE_OK {
            let watched = file.cast::<WatchedFile>();
            (*watched).calls = Arc::into_raw(calls);
            (*watched).base.pMethods = &raw const METHODS;
        }
        code
    }
}

unsafe extern "C" fn delete(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    _sync_directory: c_int,
) -> c_int {
    // SAFETY: SQLite's arguments are passed on to its own VFS.
    unsafe {
        if let Some(failure) = next_for_name(name, Call::Delete) {
            return error_of(Call::Delete, failure);
        }
        // Without waiting for the disk, as in `sync`.
        (*system()).xDelete.expect("every VFS deletes files")(system(), name, 0)
    }
}

unsafe extern "C" fn access(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    flags: c_int,
    result: *mut c_int,
) -> c_int {
    // SAFETY: as in `delete`.
    unsafe {
        if let Some(failure) = next_for_name(name, Call::Access) {
            return error_of(Call::Access, failure);
        }
        (*system()).xAccess.expect("every VFS finds files")(system(), name, flags, result)
    }
}

/// Returns the system's file behind a watched one.
///
/// # Safety
///
/// `file` is memory that SQLite allocated for a file of this VFS.
unsafe fn real(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: the memory has `SYSTEM_FILE` bytes before the system's file.
    unsafe { file.byte_add(SYSTEM_FILE) }
}

/// Returns how the next call for an open file fails.
///
/// # Safety
///
/// `file` was opened by [`open`] and has not been closed.
unsafe fn next(file: *mut ffi::sqlite3_file, call: Call) -> Option<Failure> {
    // SAFETY: `open` has stored a pointer that holds one reference until `close`.
    unsafe { (*(*file.cast::<WatchedFile>()).calls).next(call) }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite closes a file once, so the reference of `open` is given back once.
    unsafe {
        let code = (*(*real(file)).pMethods).xClose.expect(COMPLETE)(real(file));
        drop(Arc::from_raw((*file.cast::<WatchedFile>()).calls));
        code
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    bytes: *const c_void,
    count: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: `file` is open, and `bytes` has `count` bytes, so half of them can be written too.
    unsafe {
        let real_write = (*(*real(file)).pMethods).xWrite.expect(COMPLETE);
        match next(file, Call::Write) {
            None => real_write(real(file), bytes, count, offset),
            Some(failure) => {
                if matches!(failure, Failure::ShortWrite | Failure::KillInWrite) {
                    real_write(real(file), bytes, count / 2, offset);
                }
                error_of(Call::Write, failure)
            }
        }
    }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: `file` is open.
    match unsafe { next(file, Call::Sync) } {
        Some(failure) => error_of(Call::Sync, failure),
        // The machine does not crash in a test, so waiting for the disk would only cost time.
        None => ffi::SQLITE_OK,
    }
}

unsafe extern "C" fn map_shared_memory(
    file: *mut ffi::sqlite3_file,
    region: c_int,
    size: c_int,
    extend: c_int,
    result: *mut *mut c_void,
) -> c_int {
    // SAFETY: `file` is open; the arguments are passed on.
    unsafe {
        let call = match extend {
            0 => Call::MapSharedMemory,
            _ => Call::ExtendSharedMemory,
        };
        if let Some(failure) = next(file, call) {
            *result = std::ptr::null_mut();
            return error_of(call, failure);
        }
        (*(*real(file)).pMethods).xShmMap.expect(COMPLETE)(real(file), region, size, extend, result)
    }
}

const COMPLETE: &str = "the system's VFS has every method of version 2";

/// Defines methods that pass their arguments to the same method of the system's file, and fail
/// first if they are a call that can fail.
macro_rules! pass_on {
    ($($name:ident $method:ident ($($argument:ident: $type:ty),*) $(-> $result:ty)? $(as $call:expr)?;)*) => {
        $(unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file, $($argument: $type),*) $(-> $result)? {
            // SAFETY: SQLite calls this for a file that `open` has opened; arguments are passed on.
            unsafe {
                $(if let Some(failure) = next(file, $call) {
                    return error_of($call, failure);
                })?
                (*(*real(file)).pMethods).$method.expect(COMPLETE)(real(file), $($argument),*)
            }
        })*
    };
}

pass_on! {
    read xRead(bytes: *mut c_void, count: c_int, offset: i64) -> c_int as Call::Read;
    truncate xTruncate(size: i64) -> c_int as Call::Truncate;
    file_size xFileSize(size: *mut i64) -> c_int as Call::FileSize;
    lock xLock(level: c_int) -> c_int;
    unlock xUnlock(level: c_int) -> c_int;
    check_reserved_lock xCheckReservedLock(result: *mut c_int) -> c_int;
    file_control xFileControl(operation: c_int, argument: *mut c_void) -> c_int;
    sector_size xSectorSize() -> c_int;
    device_characteristics xDeviceCharacteristics() -> c_int;
    lock_shared_memory xShmLock(offset: c_int, count: c_int, flags: c_int) -> c_int;
    order_shared_memory xShmBarrier();
    unmap_shared_memory xShmUnmap(delete: c_int) -> c_int;
}

/// Version 2: with shared memory, without mapping the database itself, so that all reads are seen.
static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(map_shared_memory),
    xShmLock: Some(lock_shared_memory),
    xShmBarrier: Some(order_shared_memory),
    xShmUnmap: Some(unmap_shared_memory),
    xFetch: None,
    xUnfetch: None,
};
