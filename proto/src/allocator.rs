//! How the allocator of glibc behaves in docksd; others do not read the variable.

/// Sets the number of arenas. `docks` sets it for the docksd that it starts, and docksd leaves it out for what it
/// starts.
///
/// By default, glibc has eight arenas for each processor, and each keeps what its busiest moment needed. docksd
/// answers with a few dozen threads, of which hardly two run at once: with two arenas it needs half the memory
/// under load, and stops growing early.
pub const ARENAS_VARIABLE: &str = "MALLOC_ARENA_MAX";

/// The number of arenas.
pub const ARENAS: &str = "2";
