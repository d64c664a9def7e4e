//! The server as a process of its own.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::Folder;

/// The variable that names a server to test in place of one of our own: `host:sip-port:mrcp-port`.
const ELSEWHERE: &str = "ENTRACTE_SUBJECT";

/// A running server; its process ends with it.
#[derive(Debug)]
pub struct Subject {
    /// Where it speaks SIP.
    pub sip: SocketAddr,
    /// Where it speaks MRCPv2.
    pub mrcp: SocketAddr,
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    out: BufReader<ChildStdout>,
    ready: String,
    folder: Folder,
}

/// The program under test, built once by every process that asks for it; cargo sees to it that a
/// build which is there is not made again.
pub fn entracte() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(build).clone()
}

fn build() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    // target/PROFILE/deps/test
    let profile = test.parent().unwrap().parent().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--workspace", "--bins", "--target-dir"]);
    cargo.arg(profile.parent().unwrap()).current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    // What cargo told this test of its own package would make build scripts run anew: `ring` for one.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&*name);
        }
    }
    assert!(cargo.status().unwrap().success(), "the server does not build");
    profile.join("entracte")
}

impl Subject {
    /// Starts the server with `settings` besides free ports on 127.0.0.1, or takes the one that
    /// `ENTRACTE_SUBJECT` names.
    pub fn start(settings: &str) -> Self {
        match std::env::var(ELSEWHERE) {
            Ok(place) => Self::elsewhere(&place),
            Err(_) => Self::own(settings),
        }
    }

    fn elsewhere(place: &str) -> Self {
        let mut parts = place.rsplitn(3, ':');
        let (mrcp, sip, host) = (parts.next(), parts.next(), parts.next());
        let address = |port: Option<&str>| format!("{}:{}", host.unwrap(), port.unwrap()).parse();
        Self { sip: address(sip).unwrap(), mrcp: address(mrcp).unwrap(), process: None }
    }

    /// Starts the server with `settings` besides free ports on 127.0.0.1.
    pub fn own(settings: &str) -> Self {
        Self::over(settings, |_| String::new())
    }

    /// Starts the server on free ports of 127.0.0.1 with settings that may have any table.
    pub fn with_tables(settings: &str) -> Self {
        let ports = [
            "general.listen_interface=127.0.0.1",
            "general.sip.port=0",
            "general.mrcp.port=0",
            "audio.rtp.interface=127.0.0.1",
        ];
        let folder = Folder::create();
        let text = format!("state_dir = {:?}\n{settings}", folder.path());
        Self::run(folder, text, &ports)
    }

    /// As [`Self::own`], over a state folder that `prepare` fills; what it gives back are further settings.
    pub fn over(settings: &str, prepare: impl FnOnce(&std::path::Path) -> String) -> Self {
        let folder = Folder::create();
        let more = prepare(folder.path());
        let text = format!(
            "state_dir = {:?}\n[general]\nlisten_interface = \"127.0.0.1\"\n[general.sip]\nport = 0\n\
             [general.mrcp]\nport = 0\n[audio.rtp]\ninterface = \"127.0.0.1\"\n{settings}{more}",
            folder.path()
        );
        Self::run(folder, text, &[])
    }

    fn run(folder: Folder, text: String, set: &[&str]) -> Self {
        let file = folder.write("entracte.toml", text);
        let mut command = Command::new(entracte());
        command.args(["serve", "--set", "http.port=0", "--config"]).arg(file);
        for each in set {
            command.args(["--set", each]);
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        out.read_line(&mut ready).unwrap();
        if ready.is_empty() {
            let mut why = String::new();
            let _ = child.stderr.take().unwrap().read_to_string(&mut why);
            panic!("the server does not start: {why}");
        }
        // Whoever writes a log that nobody reads shall not stop for it.
        let mut log = child.stderr.take().unwrap();
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        let address = |what: &str| {
            let after = ready.split_once(what).map(|(_, after)| after.trim_start());
            let end = after.map(|after| after.split(',').next().unwrap_or_default().trim());
            end.and_then(|address| address.parse().ok())
        };
        let sip = address("sip/udp").unwrap_or_else(|| panic!("no SIP address in {ready:?}"));
        let mrcp = address("mrcp/tcp").unwrap_or_else(|| panic!("no MRCP address in {ready:?}"));
        Self { sip, mrcp, process: Some(Process { child, out, ready, folder }) }
    }

    /// The line that said that it is ready; `None` for one that runs elsewhere.
    pub fn ready(&self) -> Option<&str> {
        self.process.as_ref().map(|process| process.ready.trim_end())
    }

    /// The one-time link of the first administrator, which the line after the ready line tells.
    pub fn setup_link(&mut self) -> String {
        let process = self.process.as_mut().unwrap();
        let mut line = String::new();
        process.out.read_line(&mut line).unwrap();
        line.trim_end().rsplit(' ').next().unwrap_or_default().to_owned()
    }

    /// Where its pages and its API are.
    pub fn http(&self) -> String {
        let after = self.ready().unwrap().rsplit("http/tcp ").next().unwrap();
        after.split(',').next().unwrap_or_default().trim().to_owned()
    }

    /// The file by which commands on this host are known to it.
    pub fn token_file(&self) -> PathBuf {
        self.process.as_ref().unwrap().folder.path().join("http/local-token")
    }

    /// Its configuration file.
    pub fn config(&self) -> Option<PathBuf> {
        self.process.as_ref().map(|process| process.folder.path().join("entracte.toml"))
    }

    /// Its process, if it is ours.
    pub fn pid(&self) -> Option<Pid> {
        self.process.as_ref().map(|process| Pid::from_child(&process.child))
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid().unwrap(), signal).unwrap();
    }

    /// Waits for it to end by itself: its status, and what it wrote after the ready line.
    pub fn wait(mut self, patience: Duration) -> (ExitStatus, String) {
        let mut process = self.process.take().unwrap();
        let status = crate::programs::wait(&mut process.child, patience);
        let mut rest = String::new();
        let _ = process.out.read_to_string(&mut rest);
        (status.unwrap_or_else(|| panic!("it did not end within {patience:?}")), rest)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
