//! Speech by any program: the text on its standard input, a sound file from it.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use store::{Temporary, TemporaryFile};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
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
    pub(crate) fn identity(&self) -> Vec<&str> {
        let program = self.config.program.to_str().unwrap_or_default();
        let arguments = self.config.arguments.iter().map(String::as_str);
        [program].into_iter().chain(arguments).collect()
    }

    /// Speaks one text; its sound comes block by block. Dropping the receiver ends the program.
    pub(crate) fn speak(&self, text: Text) -> mpsc::Receiver<Result<Vec<i16>, Broken>> {
        let (out, blocks) = mpsc::channel(BLOCKS_MAX);
        let (config, turns) = (Arc::clone(&self.config), Arc::clone(&self.turns));
        let temporary = self.temporary.clone();
        tokio::spawn(async move {
            tokio::select! {
                // Nobody listens any more: the program dies with this task.
                () = out.closed() => {}
                done = run(&config, &turns, temporary.as_ref(), &text, &out) => {
                    if let Err(why) = done {
                        // As above.
                        let _ = out.send(Err(Broken::of(why))).await;
                    }
                }
            }
        });
        blocks
    }
}

async fn run(
    config: &CommandConfig,
    turns: &Semaphore,
    temporary: Option<&Temporary>,
    text: &Text,
    out: &Blocks,
) -> Result<(), String> {
    let _turn = turns.acquire().await.map_err(|error| error.to_string())?;
    let by_file = config.arguments.iter().any(|argument| argument.contains("{wav}"));
    let file = match (by_file, temporary) {
        (false, _) => None,
        (true, Some(temporary)) => {
            Some(temporary.create("speech", "wav").map_err(|error| error.to_string())?)
        }
        (true, None) => return Err("there is no temporary folder for {wav}".to_owned()),
    };
    let mut child = spawn(config, text, file.as_ref())?;
    let (input, output) = (child.stdin.take(), child.stdout.take());
    let words = text.text.clone();
    let writing = async move {
        if let Some(mut input) = input {
            // A program that does not want it all closes its end; what it says then decides.
            let _ = input.write_all(words.as_bytes()).await;
            let _ = input.write_all(b"\n").await;
        }
    };
    let mut sound = Sound::new(config.raw_hz);
    let reading = async {
        let Some(mut output) = output else { return Ok(()) };
        let mut bytes = [0; READ_BYTES];
        loop {
            let read = match timeout(config.stall, output.read(&mut bytes)).await {
                Ok(read) => read.map_err(|error| error.to_string())?,
                Err(_) => return Err(format!("no sound for {} ms", config.stall.as_millis())),
            };
            let Some(bytes) = bytes.get(..read).filter(|bytes| !bytes.is_empty()) else {
                return Ok(());
            };
            if !by_file {
                let mut block = Vec::new();
                sound.take(bytes, &mut block)?;
                if !block.is_empty() && out.send(Ok(block)).await.is_err() {
                    return Ok(());
                }
            }
        }
    };
    let ((), read) = tokio::join!(writing, reading);
    // What it says of itself is more to the point than that its sound ends early.
    ended(config, &mut child).await?;
    read?;
    let mut block = Vec::new();
    if let Some(file) = &file {
        let length = tokio::fs::metadata(file.path()).await.map_or(0, |about| about.len());
        if length > FILE_BYTES_MAX {
            return Err(format!("it wrote {length} bytes"));
        }
        let bytes = tokio::fs::read(file.path()).await.map_err(|error| error.to_string())?;
        sound.take(&bytes, &mut block).map_err(not_sound)?;
    }
    sound.finish(&mut block).map_err(not_sound)?;
    if !block.is_empty() {
        // Nobody listening is no fault.
        let _ = out.send(Ok(block)).await;
    }
    Ok(())
}

fn not_sound(why: impl std::fmt::Display) -> String {
    format!("it gave no sound: {why}")
}

fn spawn(
    config: &CommandConfig,
    text: &Text,
    file: Option<&TemporaryFile>,
) -> Result<Child, String> {
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
        .map_err(|error| format!("{}: {error}", config.program.display()))
}

/// Waits for the end; the error is what it said, if it failed.
async fn ended(config: &CommandConfig, child: &mut Child) -> Result<(), String> {
    let mut said = Vec::new();
    if let Some(errors) = child.stderr.take() {
        let limit = u64::try_from(SAID_BYTES_MAX).unwrap_or(0);
        // It may have closed it, or have left a child of its own that holds it.
        let _ = timeout(config.stall, errors.take(limit).read_to_end(&mut said)).await;
    }
    let status = match timeout(config.stall, child.wait()).await {
        Ok(status) => status.map_err(|error| error.to_string())?,
        Err(_) => return Err("it does not end".to_owned()),
    };
    if status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&said);
    let line = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    Err(format!("{status}: {}", line.trim()))
}
