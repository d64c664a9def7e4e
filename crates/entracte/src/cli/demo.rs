//! `entracte demo`: the server, a radio station and seven calls, judged by what was received.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Exit;
use super::player::Player;
use crate::demo::{self, SCENES, Scene, Stage};

/// Starts the server on 127.0.0.1 with a radio station of its own, places seven real calls to it and
/// checks what they received. Writes a WAV file for each scene and one capture for Wireshark; then
/// stays up, so that you can dial it yourself.
#[derive(Args, Debug)]
pub(super) struct Demo {
    /// Where the recordings and the capture go.
    #[arg(long, value_name = "FOLDER", default_value = "demo-out")]
    out: PathBuf,
    /// Ends after the last scene.
    #[arg(long)]
    once: bool,
    /// Prints one JSON object for each scene.
    #[arg(long)]
    json: bool,
    /// Plays each recording through aplay or pw-play, where there is one.
    #[arg(long)]
    play: bool,
}

impl Demo {
    pub(super) fn run(self) -> Exit {
        if let Err(error) = std::fs::create_dir_all(&self.out) {
            eprintln!("entracte: --out {}: {error}", self.out.display());
            return Exit::Usage;
        }
        super::runtime().map_or(Exit::Failed, |runtime| runtime.block_on(self.play_all()))
    }

    async fn play_all(self) -> Exit {
        let stage = match Stage::build(&self.out.join("demo.pcap")).await {
            Ok(stage) => stage,
            Err(error) => {
                eprintln!("entracte: the demo cannot begin: {error}");
                return Exit::Failed;
            }
        };
        if !self.json {
            println!("{}", stage.running.listens.join(", "));
            for note in &stage.running.notes {
                println!("note: {note}");
            }
        }
        let mut exit = Exit::Done;
        for number in 1..=SCENES.len() {
            let scene = demo::run(&stage, number).await;
            if !scene.passed() {
                exit = Exit::Failed;
            }
            self.tell(&scene);
        }
        if self.once {
            end(stage).await;
            return exit;
        }
        if !self.json {
            self.invite(&stage);
        }
        if tokio::signal::ctrl_c().await.is_err() {
            eprintln!("entracte: cannot wait for Ctrl-C");
        }
        end(stage).await;
        exit
    }

    fn tell(&self, scene: &Scene) {
        let name = format!("{}-{}.wav", scene.number, scene.name.replace(' ', "-").to_lowercase());
        let wav = self.out.join(name);
        let written = (!scene.heard.is_empty()).then(|| write_wav(&wav, &scene.heard));
        if let Some(Err(error)) = &written {
            eprintln!("entracte: {}: {error}", wav.display());
        }
        if self.json {
            let figures: serde_json::Map<String, serde_json::Value> = scene
                .figures
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone().into()))
                .collect();
            let object = serde_json::json!({
                "scene": scene.number,
                "name": scene.name,
                "passed": scene.passed(),
                "figures": figures,
                "faults": scene.faults,
                "wav": written.map(|_| wav.display().to_string()),
            });
            println!("{object}");
        } else {
            let tick = if scene.passed() { '✓' } else { '✗' };
            let figures: Vec<String> =
                scene.figures.iter().map(|(name, value)| format!("{name} {value}")).collect();
            println!("{tick} {} {}: {}", scene.number, scene.name, figures.join(", "));
            for fault in &scene.faults {
                println!("    {fault}");
            }
        }
        if self.play {
            play(&scene.heard);
        }
    }

    fn invite(&self, stage: &Stage) {
        println!("\nRecordings and demo.pcap are in {}.", self.out.display());
        println!("Dial with a softphone (no registration, UDP, G.711):");
        println!("  {}    the radio station", stage.uri("Radio"));
        println!("  {};play=tone:440    an announcement (RFC 4240)", stage.uri("annc"));
        println!("MRCPv2 clients: {} asks for speechsynth.", stage.uri("mresources"));
        println!("Ctrl-C ends the demo.");
    }
}

async fn end(stage: Stage) {
    let Stage { running, .. } = stage;
    running.end(std::time::Duration::from_secs(2)).await;
}

fn write_wav(path: &Path, samples: &[i16]) -> std::io::Result<()> {
    std::fs::write(path, audio::wav::to_bytes(audio::wav::Format::TELEPHONE, samples))
}

/// Plays telephone audio; a machine without a player or a sound card is told so.
fn play(samples: &[i16]) {
    let played = Player::start().and_then(|mut player| {
        // A player that stops listening is told by its exit status.
        let _ = player.play(samples);
        player.finish()
    });
    if let Err(why) = played {
        eprintln!("entracte: {why}");
    }
}
