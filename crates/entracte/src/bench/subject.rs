//! The server that is measured: one that runs, or one of our own in a child process.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long a server of ours may take to be ready.
const READY_WAIT: Duration = Duration::from_secs(30);

/// The name of the live source that a server of ours plays.
pub const SOURCE: &str = "Bench";

/// A file that loops without a seam.
static MUSIC: &[u8] = include_bytes!("../../../sources/assets/hold-music.wav");

/// What is measured.
#[derive(Debug)]
pub struct Subject {
    /// Where it takes SIP over UDP.
    pub sip: SocketAddr,
    /// Its process, where it is on this machine.
    pub pid: Option<u32>,
    own: Option<Own>,
}

/// What a server of ours needs.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Sessions at one time.
    pub sessions: usize,
    /// Media threads.
    pub engines: usize,
    /// Whether it can speak texts.
    pub speech: Speech,
}

/// Whether a server of ours starts its speech helpers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Speech {
    /// It does.
    On,
    /// It does not.
    Off,
}

/// A server of ours; dropping it ends it and removes its folder.
#[derive(Debug)]
struct Own {
    child: Child,
    folder: PathBuf,
}

impl Drop for Own {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Subject {
    /// A server that runs somewhere; its cost can be read where `pid` is given.
    pub const fn given(sip: SocketAddr, pid: Option<u32>) -> Self {
        Self { sip, pid, own: None }
    }

    /// Starts a server of our own on free ports of 127.0.0.1, with one live source.
    ///
    /// # Errors
    /// In words, with the last lines that the server logged.
    pub fn start(wanted: Wanted) -> Result<Self, String> {
        let folder = std::env::temp_dir().join(format!("entracte-bench-{}", std::process::id()));
        let told = |error: std::io::Error| format!("{}: {error}", folder.display());
        fs::create_dir_all(&folder).map_err(told)?;
        fs::write(folder.join("music.wav"), MUSIC).map_err(told)?;
        let config = folder.join("bench.toml");
        fs::write(&config, settings(&folder.display().to_string(), wanted)).map_err(told)?;
        let log = folder.join("log");
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut child = Command::new(program)
            .arg("serve")
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log).map_err(told)?)
            .spawn()
            .map_err(|error| format!("no server: {error}"))?;
        let pid = child.id();
        let stdout = child.stdout.take();
        let own = Own { child, folder };
        let (tell, told) = mpsc::sync_channel(1);
        std::thread::spawn(move || {
            let Some(stdout) = stdout else { return };
            let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
            let _ = tell.send(lines.find(|line| line.starts_with("ready:")));
            // Whatever comes later is not wanted, and must not block the server.
            lines.for_each(drop);
        });
        let ready = told.recv_timeout(READY_WAIT).ok().flatten();
        let sip = ready.as_deref().and_then(sip_address);
        match sip {
            Some(sip) => Ok(Self { sip, pid: Some(pid), own: Some(own) }),
            None => {
                let log = fs::read_to_string(&log).unwrap_or_default();
                Err(format!("the server did not get ready: {}", log.trim()))
            }
        }
    }

    /// What a server of ours logged: warnings and worse.
    pub fn log(&self) -> String {
        let read = |own: &Own| fs::read_to_string(own.folder.join("log")).ok();
        self.own.as_ref().and_then(read).unwrap_or_default()
    }
}

/// The address of SIP over UDP in a ready line.
fn sip_address(line: &str) -> Option<SocketAddr> {
    let (_, after) = line.split_once("sip/udp ")?;
    after.split([',', ' ']).next()?.parse().ok()
}

fn settings(folder: &str, wanted: Wanted) -> String {
    let mut text = String::new();
    let speech = wanted.speech == Speech::On;
    // Writing to a string does not fail.
    let _ = write!(
        text,
        "state_dir = {folder:?}\n\
         [general]\nlisten_interface = \"127.0.0.1\"\n\
         [general.sip]\nport = 0\nprotocol = [\"udp\", \"tcp\"]\n\
         [general.mrcp]\nport = 0\nmax_sessions = {}\n\
         [audio.rtp]\ninterface = \"127.0.0.1\"\n\
         [engine]\nthreads = {}\n\
         [text_to_speech]\nenabled = {speech}\n\
         [external_audio]\nenabled = true\n\
         [[external_audio.sources]]\nname = \"{SOURCE}\"\nuri = \"file:{folder}/music.wav\"\n\
         [http]\nenabled = false\n[log]\nlevel = \"warn\"\n",
        wanted.sessions, wanted.engines
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_names_the_address_of_sip() {
        let line = "ready: sip/udp 127.0.0.1:6060, sip/tcp 127.0.0.1:6061, mrcp/tcp 127.0.0.1:1";
        assert_eq!(sip_address(line), "127.0.0.1:6060".parse().ok());
        assert_eq!(sip_address("ready: mrcp/tcp 127.0.0.1:1"), None);
    }
}
