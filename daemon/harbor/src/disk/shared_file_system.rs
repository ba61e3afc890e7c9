//! File systems that other machines may write to.

use std::path::Path;

/// Whether other machines may write to the directory, unseen by this system's processes and file
/// events. A directory whose file system is unknown counts as shared.
#[cfg(target_os = "linux")]
pub(crate) fn is_on_shared_file_system(dir: &Path) -> bool {
    /// Types of file systems that other machines or a host write to: NFS, SMB, CIFS, FUSE (sshfs, virtiofs,
    /// buckets), 9p, Ceph, AFS, Lustre, GPFS.
    const SHARED: [i64; 10] = [
        0x6969,
        0x517b,
        0xff53_4d42,
        0xfe53_4d42,
        0x6573_5546,
        0x0102_1997,
        0x00c3_6400,
        0x5346_414f,
        0x0bd0_0bd0,
        0x4750_4653,
    ];
    let Ok(system) = rustix::fs::statfs(dir) else {
        return true;
    };
    #[expect(
        clippy::useless_conversion,
        reason = "the type differs between architectures"
    )]
    let kind = i64::from(system.f_type) & 0xffff_ffff;
    SHARED.contains(&kind)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn is_on_shared_file_system(_dir: &Path) -> bool {
    false
}
