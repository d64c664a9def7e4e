//! The engine in virtual time: the tests give every millisecond, the sockets are real.

#[cfg(test)]
mod bed;
#[cfg(test)]
mod control;
#[cfg(test)]
mod numbers;
#[cfg(test)]
mod programs;
#[cfg(test)]
mod receiving;
#[cfg(test)]
mod reporting;
#[cfg(test)]
mod sharing;
