//! The crate against real things: ffmpeg, icecast2, sockets and files, on loopback and in real time.
//! Every test starts and ends its own processes, on free ports and in folders of its own.

#![expect(clippy::disallowed_methods, reason = "these tests live in real time")]

#[cfg(test)]
mod bed;
#[cfg(test)]
mod devices;
#[cfg(test)]
mod files;
#[cfg(test)]
mod icecast;
#[cfg(test)]
mod manners;
#[cfg(test)]
mod prompts;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod studio;
#[cfg(test)]
mod tls;
