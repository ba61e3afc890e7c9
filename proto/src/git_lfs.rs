//! Git LFS, which leaves a pointer in place of a large file whose content was not fetched.

/// How every pointer begins (<https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md>).
pub const POINTER_BEGIN: &str = "version https://git-lfs.github.com/spec/";
