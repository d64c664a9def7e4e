//! What devices there are, asked once.

use std::time::Duration;

use crate::board::now;
use crate::pulse::{DeviceInfo, PulseError, Server};
use crate::state::Level;

/// How long the sound server has for its answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long each device is listened to, all at once. One that slept needs half a second to wake.
const LISTEN: Duration = Duration::from_millis(800);

/// A device, and how loud it is just now.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// What the sound server says of it.
    pub info: DeviceInfo,
    /// How loud it was while it was listened to; `None` when it gave nothing.
    pub level: Option<Level>,
}

/// Every capture device and every monitor (loopback) of an output. It waits, for a second or so: each
/// is listened to for its level.
///
/// # Errors
/// When there is no sound server at `address` (`None`: the usual one), or it does not answer.
pub fn devices(address: Option<&str>) -> Result<Vec<Device>, PulseError> {
    let mut server = Server::connect(address, PATIENCE)?;
    let found = server.devices(PATIENCE)?;
    let mut captures = Vec::new();
    for info in &found {
        captures.push((server.capture(info.clone()).ok(), Vec::new()));
    }
    let until = now() + LISTEN;
    while now() < until {
        server.turn(until.saturating_duration_since(now()))?;
        for (capture, heard) in &mut captures {
            // One that fails is listed without a level.
            capture.take_if(|capture| capture.take(&server, heard).is_err());
        }
    }
    let levels = captures.into_iter().map(|(_, heard)| Level::of(&heard));
    let both = found.into_iter().zip(levels);
    Ok(both.map(|(info, level)| Device { info, level }).collect())
}
