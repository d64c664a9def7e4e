//! ffmpeg as a guarded process: for formats that our own decoders lack.
//!
//! It decodes bytes from a pipe and may open nothing else, so a file that names other files or
//! addresses reaches none. Only HLS, which ffmpeg must fetch itself, gets the network, and then no
//! files. Limits on memory, files, file sizes and processor time are set before it starts, and it can
//! gain no privileges.

use std::fs::File;
use std::io::{self, Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::feed::Feed;

/// Address space of the process.
const MEMORY_BYTES_MAX: u64 = 2 << 30;
/// Open files of the process.
const FILES_MAX: u64 = 64;
/// Processor seconds to decode one prompt; a live stream has no such end.
const PROMPT_CPU_SECONDS_MAX: u64 = 120;
/// Bytes kept of what it says on its way down.
const LAST_WORDS_BYTES_MAX: usize = 400;

/// How to run ffmpeg here.
#[derive(Clone, Debug)]
pub(crate) struct Ffmpeg {
    program: PathBuf,
    prlimit: Option<PathBuf>,
    setpriv: Option<PathBuf>,
}

/// What it decodes.
#[derive(Debug)]
pub(crate) enum Input {
    /// This file, handed over open.
    File(File),
    /// A broadcast's bytes.
    Feed(Feed),
    /// A download's bytes.
    Download(Feed),
    /// These bytes.
    Bytes(Arc<[u8]>),
    /// This HLS playlist, which it fetches with this user agent.
    Hls { url: String, user_agent: String },
    /// What this ALSA device captures, with ALSA's configuration where it is not in its usual place.
    Alsa { pcm: String, config: Option<PathBuf> },
}

/// For how long it may run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Use {
    /// Once, to an end.
    Prompt,
    /// As long as the server lives.
    Live,
    /// The same, for a device, whose driver may want memory of a kind that counts as a file.
    Device,
}

/// A running ffmpeg, read as telephone audio.
#[derive(Debug)]
pub(crate) struct Transcoder {
    running: Arc<Running>,
    stdout: ChildStdout,
    stderr: Option<JoinHandle<String>>,
    odd: Option<u8>,
    any: bool,
}

/// Ends the process when dropped or told to.
#[derive(Debug)]
pub(crate) struct Running(Mutex<Child>);

impl Ffmpeg {
    pub(crate) fn new(program: &Path) -> Self {
        let there = |path: &str| Some(PathBuf::from(path)).filter(|path| path.exists());
        Self {
            program: program.to_owned(),
            prlimit: there("/usr/bin/prlimit"),
            setpriv: there("/usr/bin/setpriv"),
        }
    }

    /// Starts it. `format` is ffmpeg's name of a format that cannot be told from the bytes.
    pub(crate) fn start(
        &self,
        input: Input,
        format: Option<&str>,
        purpose: Use,
    ) -> io::Result<Transcoder> {
        let mut command = self.guarded(purpose);
        command.args(["-nostdin", "-hide_banner", "-v", "error", "-threads", "1"]);
        if let Some(format) = format {
            command.args(["-f", format]);
        }
        let (stdin, feed): (_, Option<Box<dyn Read + Send>>) = match input {
            Input::File(file) => (Stdio::from(file), None),
            Input::Feed(feed) | Input::Download(feed) => (Stdio::piped(), Some(Box::new(feed))),
            Input::Bytes(bytes) => (Stdio::piped(), Some(Box::new(Cursor::new(bytes)))),
            Input::Hls { url, user_agent } => {
                command.args(["-protocol_whitelist", "http,https,tcp,tls,crypto,hls"]);
                command.args(["-user_agent", &user_agent, "-rw_timeout", "10000000", "-i", &url]);
                (Stdio::null(), None)
            }
            Input::Alsa { pcm, config } => {
                // A live line is not looked at for what it may be: every look is a delay.
                command.args(["-fflags", "nobuffer", "-probesize", "32", "-analyzeduration", "0"]);
                command.args(["-f", "alsa", "-thread_queue_size", "64", "-i", &pcm]);
                if let Some(config) = config {
                    command.env("ALSA_CONFIG_PATH", config);
                }
                // Where ALSA, and a sound server behind it, look for what belongs to this user.
                for name in ["HOME", "XDG_RUNTIME_DIR", "PULSE_SERVER"] {
                    if let Some(value) = std::env::var_os(name) {
                        command.env(name, value);
                    }
                }
                (Stdio::null(), None)
            }
        };
        if !command.get_args().any(|argument| argument == "-i") {
            command.args(["-protocol_whitelist", "pipe", "-i", "pipe:0"]);
        }
        command.args(["-map", "0:a:0", "-vn", "-sn", "-dn", "-f", "s16le", "-ar", "8000"]);
        command.args(["-ac", "1", "-flush_packets", "1", "pipe:1"]);
        let mut child =
            command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        // From here on, whatever fails, the process ends with this.
        let running = Arc::new(Running(Mutex::new(child)));
        if let (Some(feed), Some(stdin)) = (feed, stdin) {
            spawn("ffmpeg-feed", move || pour(feed, stdin))?;
        }
        let stderr = stderr.map(|stderr| spawn("ffmpeg-words", move || last_words(stderr)));
        let stdout = stdout.ok_or_else(|| io::Error::other("ffmpeg has no output"))?;
        Ok(Transcoder { running, stdout, stderr: stderr.transpose()?, odd: None, any: false })
    }

    fn guarded(&self, purpose: Use) -> Command {
        let mut words: Vec<PathBuf> = Vec::new();
        if let Some(prlimit) = &self.prlimit {
            words.push(prlimit.clone());
            words.extend([
                "--core=0".into(),
                format!("--nofile={FILES_MAX}").into(),
                format!("--as={MEMORY_BYTES_MAX}").into(),
            ]);
            if purpose != Use::Device {
                words.push("--fsize=0".into());
            }
            if purpose == Use::Prompt {
                words.push(format!("--cpu={PROMPT_CPU_SECONDS_MAX}").into());
            }
            words.push("--".into());
        }
        if let Some(setpriv) = &self.setpriv {
            words.extend([setpriv.clone(), "--no-new-privs".into()]);
            if purpose == Use::Device {
                // Its thread lives as long as it does; one that is killed must not leave it behind.
                words.push("--pdeathsig=KILL".into());
            }
            words.push("--".into());
        }
        words.push(self.program.clone());
        let mut words = words.into_iter();
        let mut command = Command::new(words.next().unwrap_or_else(|| self.program.clone()));
        command.args(words).env_clear().current_dir("/");
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command
    }
}

impl Transcoder {
    /// What ends the process from elsewhere.
    pub(crate) fn running(&self) -> Arc<Running> {
        Arc::clone(&self.running)
    }

    /// Appends the next samples; false at the end. An error says why there was no audio at all.
    pub(crate) fn next(&mut self, out: &mut Vec<i16>) -> Result<bool, String> {
        let mut bytes = [0; 3_200];
        let count = match self.stdout.read(&mut bytes) {
            Ok(count) => count,
            Err(why) => return Err(why.to_string()),
        };
        if count == 0 {
            return self.ended();
        }
        self.any = true;
        let mut bytes = bytes.iter().copied().take(count);
        let mut low = self.odd.take().or_else(|| bytes.next());
        while let Some(first) = low {
            let Some(second) = bytes.next() else {
                self.odd = Some(first);
                break;
            };
            out.push(i16::from_le_bytes([first, second]));
            low = bytes.next();
        }
        Ok(true)
    }

    fn ended(&mut self) -> Result<bool, String> {
        if self.any {
            return Ok(false);
        }
        let words = self.stderr.take().and_then(|words| words.join().ok()).unwrap_or_default();
        Err(if words.is_empty() { "no audio in it".to_owned() } else { words })
    }
}

impl Running {
    /// Ends the process; it may be over already.
    pub(crate) fn end(&self) {
        let mut child = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(why) = child.kill() {
            tracing::debug!(%why, "ffmpeg was over already");
        }
        // After a kill this does not wait long; without it a dead process would be left.
        if let Err(why) = child.wait() {
            tracing::warn!(%why, "cannot wait for ffmpeg");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    thread::Builder::new().name(name.to_owned()).spawn(work)
}

/// Until the bytes end or nobody reads them.
fn pour(mut feed: Box<dyn Read + Send>, mut stdin: ChildStdin) {
    let mut bytes = [0; 4_096];
    while let Ok(count @ 1..) = feed.read(&mut bytes) {
        let Some(now) = bytes.get(..count) else { return };
        if stdin.write_all(now).is_err() {
            return;
        }
    }
}

/// Reads to the end, so that it is never held up; keeps the last line.
fn last_words(mut stderr: impl Read) -> String {
    let mut kept = Vec::new();
    let mut bytes = [0; 1_024];
    while let Ok(count @ 1..) = stderr.read(&mut bytes) {
        kept.extend(bytes.iter().take(count));
        let early = kept.len().saturating_sub(LAST_WORDS_BYTES_MAX);
        kept.drain(..early);
    }
    let text = String::from_utf8_lossy(&kept);
    text.trim().lines().next_back().unwrap_or_default().trim_start_matches("pipe:0: ").to_owned()
}
