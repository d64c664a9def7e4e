//! One helper process: started, greeted, fed one text at a time.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::pool::{Job, Reply};
use crate::voices::VoiceInfo;
use crate::wire::{self, Answer, Speak};

/// The most voices that are taken.
const VOICES_MAX: usize = 4_096;

/// A live helper.
pub(crate) struct Helper {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    pub(crate) rate_hz: u32,
    next_id: u32,
}

/// How serving a text ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Served {
    /// The helper can take another.
    Done,
    /// It is dead or stuck.
    Lost,
}

impl Helper {
    /// Starts a process and reads its greeting; the reason if that fails.
    pub(crate) async fn start(path: &Path, limit: Duration) -> Result<Self, String> {
        let mut child = Command::new(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            // Ctrl-C on a terminal goes to the server, which drains; the helpers end with it.
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("no pipes".into());
        };
        let mut output = BufReader::with_capacity(1 << 16, output);
        let greeting = timeout(limit, wire::read_answer(&mut output)).await;
        match greeting {
            Ok(Ok(Answer::Hello { version: wire::VERSION, samples_per_second })) => {
                Ok(Self { child, input, output, rate_hz: samples_per_second, next_id: 1 })
            }
            Ok(Ok(Answer::Hello { version, .. })) => {
                Err(format!("it speaks version {version}, not {}", wire::VERSION))
            }
            Ok(Ok(_)) => Err("it does not say hello".into()),
            Ok(Err(error)) => Err(format!("it ends before it says hello: {error}")),
            Err(_) => Err("it does not say hello in time".into()),
        }
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Returns when the process has ended.
    pub(crate) async fn ended(&mut self) {
        // An error means that it cannot be waited for, which is as good as ended.
        let _ = self.child.wait().await;
    }

    /// Asks for the voices.
    pub(crate) async fn voices(&mut self, limit: Duration) -> Result<Vec<VoiceInfo>, String> {
        let asked = async {
            self.input.write_all(&wire::voices_frame()).await?;
            let mut voices = Vec::new();
            loop {
                match wire::read_answer(&mut self.output).await? {
                    Answer::Voice(voice) if voices.len() < VOICES_MAX => voices.push(voice),
                    Answer::VoicesEnd => return Ok(voices),
                    Answer::Hello { .. }
                    | Answer::Audio { .. }
                    | Answer::Point { .. }
                    | Answer::End { .. }
                    | Answer::Error { .. }
                    | Answer::Voice(_) => return Err(io::Error::other("not a list of voices")),
                }
            }
        };
        match timeout(limit, asked).await {
            Ok(voices) => voices.map_err(|error| error.to_string()),
            Err(_) => Err("it does not list its voices in time".into()),
        }
    }

    /// Speaks a word into nothing, so that the voice is loaded before it is needed.
    pub(crate) async fn warm(&mut self, voice: &str, limit: Duration) -> Served {
        let speak = Speak {
            voice: voice.to_owned(),
            rate: 1_000,
            pitch: 1_000,
            range: 1_000,
            ssml: "<speak>one, 2</speak>".into(),
        };
        let (replies, mut nobody) = mpsc::channel(8);
        let drain = async { while nobody.recv().await.is_some() {} };
        let (served, ()) = tokio::join!(self.serve(Job { speak, replies }, limit), drain);
        served
    }

    /// Speaks one text. When nobody listens any more it is given up.
    pub(crate) async fn serve(&mut self, job: Job, stall: Duration) -> Served {
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        let served = self.follow(id, &job, stall).await;
        if served == Served::Lost {
            // The listener also takes the channel's end for this.
            let _ = job.replies.send(Reply::Lost).await;
        }
        served
    }

    async fn follow(&mut self, mine: u32, job: &Job, stall: Duration) -> Served {
        if !self.write(&wire::speak_frame(mine, &job.speak), stall).await {
            return Served::Lost;
        }
        let mut given_up = false;
        loop {
            let read = timeout(stall, wire::read_answer(&mut self.output)).await;
            let Ok(Ok(answer)) = read else { return Served::Lost };
            let (reply, over) = match answer {
                Answer::Audio { id, samples } if id == mine => (Reply::Audio(samples), false),
                Answer::Point { id, sample, point } if id == mine => {
                    (Reply::Point { sample, point }, false)
                }
                Answer::End { id } if id == mine => (Reply::End, true),
                Answer::Error { id, why } if id == mine => (Reply::Refused(why), true),
                // Anything else is a helper that lost count.
                Answer::Hello { .. }
                | Answer::Audio { .. }
                | Answer::Point { .. }
                | Answer::End { .. }
                | Answer::Error { .. }
                | Answer::Voice(_)
                | Answer::VoicesEnd => return Served::Lost,
            };
            if !given_up && job.replies.send(reply).await.is_err() && !over {
                given_up = true;
                if !self.write(&wire::cancel_frame(mine), stall).await {
                    return Served::Lost;
                }
            }
            if over {
                return Served::Done;
            }
        }
    }

    async fn write(&mut self, frame: &[u8], stall: Duration) -> bool {
        matches!(timeout(stall, self.input.write_all(frame)).await, Ok(Ok(())))
    }
}
