//! `entracte speak`: text to a WAV file, as a call would hear it; and the list of voices.

use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use audio::wav;
use clap::Args;
use control::playout::Prosody;

use mrcp::settings::{Param, Settings};
use serde_json::{Value, json};
use speech::{Choice, VoiceInfo};

use super::{ConfigArgs, Exit};
use crate::config::Plan;
use crate::recite::{self, Recital};
use crate::serve;
use crate::services::{Services, Speaking};

/// The longest text that is read: 16 MiB, more than an hour of speech.
const TEXT_BYTES_MAX: u64 = 16 << 20;

/// Samples in a millisecond.
const SAMPLES_A_MS: usize = 8;

/// Speaks text into a WAV file as a call would hear it (8 kHz, mono), or lists the voices.
#[derive(Args, Debug)]
pub(super) struct Speak {
    /// What is spoken; "-" reads it from standard input.
    #[arg(required_unless_present = "list_voices", conflicts_with = "list_voices")]
    text: Option<String>,
    /// The WAV file to write; "-" writes it to standard output.
    #[arg(short, long, value_name = "FILE", required_unless_present = "list_voices")]
    out: Option<PathBuf>,
    /// A voice by its id or name, as --list-voices has them: "en-us", or with a variant "en-us+f3".
    #[arg(long, value_name = "VOICE")]
    voice: Option<String>,
    /// The language, as "de" or "en-GB".
    #[arg(long, value_name = "TAG")]
    language: Option<String>,
    /// The speed: 0.5 to 2.0, or slow, medium, fast and the like.
    #[arg(long, value_name = "RATE")]
    rate: Option<String>,
    /// The text is SSML.
    #[arg(long)]
    ssml: bool,
    /// Lists every voice and variant.
    #[arg(long)]
    list_voices: bool,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Why nothing was spoken.
struct Trouble {
    exit: Exit,
    what: String,
}

impl Trouble {
    fn usage(what: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, what: what.into() }
    }

    fn failed(what: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, what: what.into() }
    }
}

impl Speak {
    pub(super) fn run(self) -> Exit {
        let plan = match self.config.load_or_explain() {
            Ok(plan) => plan,
            Err(exit) => return exit,
        };
        let Some(runtime) = super::runtime() else { return Exit::Failed };
        let done = runtime.block_on(async {
            if self.list_voices { self.list(&plan).await } else { self.speak(&plan).await }
        });
        match done {
            Ok(()) => Exit::Done,
            Err(Trouble { exit, what }) => {
                if self.json {
                    println!("{}", json!({ "ok": false, "error": what }));
                } else {
                    eprintln!("entracte: {what}");
                }
                exit
            }
        }
    }

    async fn list(&self, plan: &Plan) -> Result<(), Trouble> {
        let services = services(plan).await?;
        let voices: Vec<&VoiceInfo> = provider(&services)?.voices().collect();
        let text = if self.json {
            format!("{}\n", voices.iter().map(|voice| voice_json(voice)).collect::<Value>())
        } else {
            table(&voices)
        };
        print(text.as_bytes())
    }

    async fn speak(&self, plan: &Plan) -> Result<(), Trouble> {
        let settings = self.settings()?;
        let (Some(text), Some(out)) = (&self.text, &self.out) else {
            return Err(Trouble::usage("neither text nor --out"));
        };
        let text = if text == "-" { standard_input()? } else { text.clone() };
        if text.trim().is_empty() {
            return Err(Trouble::usage("there is no text to speak"));
        }
        let services = services(plan).await?;
        let defaults = serve::defaults(plan, &services);
        let wanted = self.voice(&services, &defaults.style)?;
        let kind = if self.ssml { "application/ssml+xml" } else { "text/plain" };
        let content =
            recite::content(text, kind).ok_or_else(|| Trouble::failed("no such media type"))?;
        // Markup weighs more than the settings of a SPEAK, but not more than what is typed here.
        let prosody = if self.rate.is_some() { Prosody::Control } else { Prosody::Request };
        let recital = recite::recite(&services, &defaults, &content, &settings, prosody)
            .await
            .map_err(|failure| Trouble::failed(failure.to_string()))?;
        write(out, &recital.samples)?;
        for state in provider(&services)?.state().providers {
            if let Some(why) = state.failed {
                eprintln!("entracte: {}: {why}", state.name);
            }
        }
        let (provider, voice) = match &recital.voice {
            Some(voiced) => (&*voiced.provider, &*voiced.voice),
            // Nothing was spoken, or it does not begin with it.
            None => (wanted.provider.as_str(), wanted.voice.as_str()),
        };
        self.tell(out, (provider, voice), &recital)
    }

    fn settings(&self) -> Result<Settings, Trouble> {
        let mut settings = Settings::default();
        let given = [
            ("--voice", "Voice-Name", &self.voice),
            ("--language", "Speech-Language", &self.language),
            ("--rate", "Prosody-Rate", &self.rate),
        ];
        for (argument, header, value) in given {
            let (Some(value), Some(param)) = (value, Param::parse(header)) else { continue };
            settings
                .set(param, value)
                .map_err(|_| Trouble::usage(format!("{argument} {value}: not a value it has")))?;
        }
        Ok(settings)
    }

    /// The voice that speaks where the text itself asks for no other.
    fn voice(&self, services: &Services, style: &ssml::Style) -> Result<Choice, Trouble> {
        let mut style = style.clone();
        if let Some(language) = &self.language {
            style.language.clone_from(language);
        }
        if let Some(voice) = &self.voice {
            style.voice.names = vec![voice.clone()];
        }
        let list = "entracte speak --list-voices names them all";
        let choice = provider(services)?
            .choose(&style)
            .map_err(|error| Trouble::usage(format!("{error}; {list}")))?;
        match choice.note {
            Some(note) if self.voice.is_some() => Err(Trouble::usage(format!("{note}; {list}"))),
            Some(_) | None => Ok(choice),
        }
    }

    fn tell(
        &self,
        out: &Path,
        (provider, voice): (&str, &str),
        recital: &Recital,
    ) -> Result<(), Trouble> {
        if out.as_os_str() == "-" {
            return Ok(());
        }
        let millis = recital.samples.len() / SAMPLES_A_MS;
        let text = if self.json {
            let marks = recital
                .marks
                .iter()
                .map(|(name, at)| json!({ "name": name, "at_ms": at / SAMPLES_A_MS }));
            let first_ms = u64::try_from(recital.first.as_millis()).unwrap_or(u64::MAX);
            let said = json!({
                "ok": true,
                "file": out,
                "voice": voice,
                "provider": provider,
                "duration_ms": millis,
                "first_sound_ms": first_ms,
                "marks": marks.collect::<Value>(),
            });
            format!("{said}\n")
        } else {
            let (seconds, rest) = (millis / 1_000, millis % 1_000);
            format!("{}: {seconds}.{rest:03} s, voice {voice} of {provider}\n", out.display())
        };
        print(text.as_bytes())
    }
}

/// Prompts and speech, with one helper, whether or not the server would speak; no live sources.
async fn services(plan: &Plan) -> Result<Arc<Services>, Trouble> {
    let mut plan = plan.clone();
    plan.external_audio.enabled = false;
    plan.text_to_speech.enabled = true;
    plan.text_to_speech.helpers = 1;
    // The server's folders are the server's.
    plan.text_to_speech.cache_bytes_max = 0;
    plan.media.disk_cache_bytes_max = 0;
    plan.general.temporary_directory = Some(std::env::temp_dir());
    plan.general.keep_temporary_files = false;
    let mut notes = Vec::new();
    let services = serve::services(&plan, &mut notes).await;
    let services = services.map_err(|error| Trouble::usage(error.to_string()))?;
    // Where nobody speaks at all, that is what is said.
    if matches!(services.speech, Speaking::On(_)) {
        for note in notes {
            eprintln!("entracte: {note}");
        }
    }
    Ok(Arc::new(services))
}

fn provider(services: &Services) -> Result<&speech::Speech, Trouble> {
    match &services.speech {
        Speaking::On(speech) => Ok(speech),
        Speaking::Off => Err(Trouble::failed("speech is switched off")),
        Speaking::Missing(why) => Err(Trouble::failed(why.clone())),
    }
}

fn standard_input() -> Result<String, Trouble> {
    let mut text = String::new();
    let read = io::stdin().lock().take(TEXT_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error| Trouble::failed(format!("standard input: {error}")))?;
    Ok(text)
}

fn write(out: &Path, samples: &[i16]) -> Result<(), Trouble> {
    let bytes = wav::to_bytes(wav::Format::TELEPHONE, samples);
    if out.as_os_str() == "-" {
        return print(&bytes);
    }
    std::fs::write(out, bytes)
        .map_err(|error| Trouble::failed(format!("cannot write {}: {error}", out.display())))
}

fn print(bytes: &[u8]) -> Result<(), Trouble> {
    let mut stdout = io::stdout().lock();
    let done = stdout.write_all(bytes).and_then(|()| stdout.flush());
    done.map_err(|error| Trouble::failed(format!("standard output: {error}")))
}

fn voice_json(voice: &VoiceInfo) -> Value {
    json!({
        "provider": voice.provider,
        "id": voice.id,
        "name": voice.name,
        "languages": voice.languages,
        "gender": crate::voices::gender(voice),
        "age": voice.age,
        "variant": voice.variant,
    })
}

fn table(voices: &[&VoiceInfo]) -> String {
    let width = voices.iter().map(|voice| voice.id.len()).max().unwrap_or(0);
    let mut text = String::new();
    let mut last = None;
    for voice in voices {
        let title = (voice.provider.as_str(), voice.variant);
        if last.replace(title) != Some(title) {
            let what = match voice.variant {
                false => "voices (--voice ID)",
                true => "variants (--voice ID+VARIANT)",
            };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}: {what}", voice.provider);
        }
        let gender = crate::voices::gender(voice).unwrap_or("-");
        let _ = writeln!(text, "  {:width$}  {gender:7}  {}", voice.id, voice.name);
    }
    text
}
