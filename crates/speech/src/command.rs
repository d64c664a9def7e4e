//! Speech by any program: the text on its standard input, a sound file from it.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use store::{Temporary, TemporaryFile};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use crate::aloud::Broken;
use crate::sound::Sound;
use crate::voices::VoiceInfo;

/// Blocks that wait for whoever listens.
const BLOCKS_MAX: usize = 64;
/// Bytes read from a program at a time.
const READ_BYTES: usize = 8_192;
/// Bytes of what it says of a failure.
const SAID_BYTES_MAX: usize = 400;
/// The longest file that a program may write: an hour at 48 kHz.
const FILE_BYTES_MAX: u64 = 2 * 48_000 * 3_600;

/// A program that speaks.
#[derive(Clone, Debug)]
pub struct CommandConfig {
    /// The program: a path, or a name that is looked for in `PATH`.
    pub program: PathBuf,
    /// Its arguments. `{voice}` and `{language}` stand for the voice's id and language, `{wav}` for a
    /// file that it shall write; without `{wav}` the sound is taken from its standard output.
    pub arguments: Vec<String>,
    /// Samples per second of a sound without a header: 16 bits, little-endian, mono. `None`: a file
    /// with one.
    pub raw_hz: Option<u32>,
    /// How many may run at once; a further text waits for one of them to end.
    pub processes: usize,
    /// Its voices.
    pub voices: Vec<VoiceInfo>,
    /// How long it may pause in the middle.
    pub stall: Duration,
}

/// A program that speaks, and whose turn it is.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    config: Arc<CommandConfig>,
    turns: Arc<Semaphore>,
    temporary: Option<Temporary>,
}

/// What is spoken.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) voice: String,
    pub(crate) language: String,
}

type Blocks = mpsc::Sender<Result<Vec<i16>, Broken>>;

impl Program {
    pub(crate) fn new(config: CommandConfig, temporary: Option<Temporary>) -> Self {
        let turns = Arc::new(Semaphore::new(config.processes.max(1)));
        Self { config: Arc::new(config), turns, temporary }
    }

    /// What makes its sound what it is, beside text and voice.
    pub(crate) fn identity(&self) -> Vec<String> {
        let program = self.config.program.to_string_lossy().into_owned();
        let rate = self.config.raw_hz.map_or_else(String::new, |rate| rate.to_string());
        [program, rate].into_iter().chain(self.config.arguments.iter().cloned()).collect()
    }

    /// Speaks one text; its sound comes block by block. Dropping the receiver ends the program.
    /// `patience` is how long others are waited for that speak by the same program.
    pub(crate) fn speak(
        &self,
        text: Text,
        patience: Duration,
    ) -> mpsc::Receiver<Result<Vec<i16>, Broken>> {
        let (out, blocks) = mpsc::channel(BLOCKS_MAX);
        let (config, turns) = (Arc::clone(&self.config), Arc::clone(&self.turns));
        let temporary = self.temporary.clone();
        tokio::spawn(async move {
            tokio::select! {
                // Nobody listens any more: the program dies with this task.
                () = out.closed() => {}
                done = run(&config, (&turns, patience), temporary.as_ref(), &text, &out) => {
                    if let Err(broken) = done {
                        // As above.
                        let _ = out.send(Err(broken)).await;
                    }
                }
            }
        });
        blocks
    }
}

async fn run(
    config: &CommandConfig,
    (turns, patience): (&Semaphore, Duration),
    temporary: Option<&Temporary>,
    text: &Text,
    out: &Blocks,
) -> Result<(), Broken> {
    let turn = timeout(patience, turns.acquire()).await;
    // It is no fault of the program that it has much to say.
    let busy =
        || Broken { why: "all its processes are busy".to_owned(), rest: Some(Duration::ZERO) };
    let _turn = turn.map_err(|_| busy())?.map_err(|_| busy())?;
    speak(config, temporary, text, out).await.map_err(Broken::of)
}

async fn speak(
    config: &CommandConfig,
    temporary: Option<&Temporary>,
    text: &Text,
    out: &Blocks,
) -> Result<(), String> {
    let by_file = config.arguments.iter().any(|argument| argument.contains("{wav}"));
    let file = match (by_file, temporary) {
        (false, _) => None,
        (true, Some(temporary)) => {
            Some(temporary.create("speech", "wav").map_err(|error| error.to_string())?)
        }
        (true, None) => return Err("there is no temporary folder for {wav}".to_owned()),
    };
    let mut child = spawn(config, text, file.as_ref())?;
    let (input, output) = (child.0.stdin.take(), child.0.stdout.take());
    if let Some(errors) = child.0.stderr.take() {
        // Nobody waits for it: it may be held open by what the program left behind.
        tokio::spawn(drain(errors, config.program.clone()));
    }
    let words = text.text.clone();
    let writing = async move {
        if let Some(mut input) = input {
            // A program that does not want it all closes its end; what it says then decides.
            let _ = input.write_all(words.as_bytes()).await;
            let _ = input.write_all(b"\n").await;
        }
        Ok(())
    };
    let mut sound = Sound::new(config.raw_hz);
    let reading = async {
        match output {
            Some(output) => read(config, output, &mut sound, out, by_file).await,
            None => Ok(()),
        }
    };
    // A stall ends all of it at once: the program is killed when it is dropped.
    tokio::try_join!(writing, reading).map_err(|why| format!("it gave no sound: {why}"))?;
    ended(config, &mut child.0).await?;
    if let Some(file) = &file {
        let length = tokio::fs::metadata(file.path()).await.map_or(0, |about| about.len());
        if length > FILE_BYTES_MAX {
            return Err(format!("it wrote {length} bytes"));
        }
        let bytes = tokio::fs::read(file.path()).await.map_err(|error| error.to_string())?;
        let mut block = Vec::new();
        sound.take(&bytes, &mut block).map_err(not_sound)?;
        if out.send(Ok(block)).await.is_err() {
            return Ok(());
        }
    }
    let rest = sound.end().await.map_err(not_sound)?;
    // Nobody listening is no fault.
    let _ = out.send(Ok(rest)).await;
    Ok(())
}

/// Its output to the end. How long the first of it may take is the provider's `first_audio`.
async fn read(
    config: &CommandConfig,
    mut output: ChildStdout,
    sound: &mut Sound,
    out: &Blocks,
    by_file: bool,
) -> Result<(), String> {
    let mut bytes = vec![0; READ_BYTES];
    let mut begun = false;
    loop {
        let next = output.read(&mut bytes);
        let next =
            if begun && !by_file { timeout(config.stall, next).await } else { Ok(next.await) };
        let count = next
            .map_err(|_| format!("nothing more came for {} ms", config.stall.as_millis()))?
            .map_err(|error| error.to_string())?;
        let Some(piece) = bytes.get(..count).filter(|piece| !piece.is_empty()) else {
            return Ok(());
        };
        begun = true;
        if by_file {
            continue;
        }
        let mut block = Vec::new();
        sound.take(piece, &mut block)?;
        if !block.is_empty() && out.send(Ok(block)).await.is_err() {
            return Ok(());
        }
    }
}

/// Takes what it says of itself, so that it can go on saying it. It may repeat the text, which is in no log
/// above DEBUG: ARCHITECTURE.md, invariant 7.
async fn drain(mut errors: ChildStderr, program: PathBuf) {
    let mut said = Vec::new();
    let mut bytes = vec![0; READ_BYTES];
    loop {
        // What cannot be read was not said.
        let count = errors.read(&mut bytes).await.unwrap_or(0);
        said.extend_from_slice(bytes.get(..count).unwrap_or_default());
        let over = said.len().saturating_sub(SAID_BYTES_MAX);
        said.drain(..over);
        if count == 0 {
            break;
        }
    }
    if !said.is_empty() {
        let said = String::from_utf8_lossy(&said);
        tracing::debug!(program = %program.display(), said = said.trim(), "a program that speaks says");
    }
}

fn not_sound(why: impl std::fmt::Display) -> String {
    format!("it gave no sound: {why}")
}

fn spawn(
    config: &CommandConfig,
    text: &Text,
    file: Option<&TemporaryFile>,
) -> Result<Group, String> {
    let wav = file.map(|file| file.path().to_string_lossy().into_owned()).unwrap_or_default();
    let arguments = config.arguments.iter().map(|argument| {
        argument
            .replace("{voice}", &text.voice)
            .replace("{language}", &text.language)
            .replace("{wav}", &wav)
    });
    Command::new(&config.program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        // Ctrl-C on a terminal goes to the server, which drains.
        .process_group(0)
        .spawn()
        .map(Group)
        .map_err(|error| format!("{}: {error}", config.program.display()))
}

/// Waits for the end, once there is no more sound.
async fn ended(config: &CommandConfig, child: &mut Child) -> Result<(), String> {
    let status = match timeout(config.stall, child.wait()).await {
        Ok(status) => status.map_err(|error| error.to_string())?,
        Err(_) => return Err("it does not end".to_owned()),
    };
    if status.success() { Ok(()) } else { Err(status.to_string()) }
}

/// A program; when it must be ended, all that it started is ended too.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // One that has ended and was waited for has no number any more.
        let leader = self.0.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(leader) = leader {
            // It may have ended just now.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}
