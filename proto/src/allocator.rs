//! How the allocator of glibc behaves in docksd; others do not read the variable.

/// Sets the number of arenas. `docks` sets it for the docksd that it starts, and docksd leaves it out for what it
/// starts.
///
/// By default, glibc has eight arenas for each processor, and each keeps what its busiest moment needed. docksd
/// answers with a few dozen threads, of which hardly two run at once, and each has a cache of small blocks: with
/// one arena it needs half the memory under load, and stops growing early. With two it grew by 2 to 6 % in ten
/// minutes.
pub const ARENAS_VARIABLE: &str = "MALLOC_ARENA_MAX";

/// The number of arenas.
pub const ARENAS: &str = "1";
