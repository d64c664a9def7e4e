//! Files that outlive the process, and temporary ones that must not. Shell: every call reads or
//! writes a disk and may block; call it where blocking is allowed.
//!
//! - [`Cache`]: bytes by [`Key`], kept up to a size, the least recently used dropped first. What it
//!   gives back is what was put in, or nothing: a file that was cut or changed is found out and dropped.
//! - [`Temporary`]: files that are deleted when they are no longer held, and swept at the next start
//!   if the process did not come to it.
//! - [`Disk`]: files and folders with the promises of a disk spelled out, so that code which must survive
//!   a power cut can be tried on one that fails: [`testbed::TornDisk`].
//! - [`Flights`]: one lock a key, so that many who want the same thing fetch it once.

mod cache;
mod disk;
mod flights;
mod temporary;
pub mod testbed;

pub use cache::{Cache, CacheState, ENTRY_BYTES_MAX, Key};
pub use disk::{
    About, Disk, Entry, Reading, SystemDisk, Writing, make_folders, read_all, replace_all,
};
pub use flights::Flights;
pub use temporary::{KEPT_BYTES_MAX, Temporary, TemporaryFile};
