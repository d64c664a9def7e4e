//! Starts whoever speaks, as the configuration says.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use speech::{
    CommandConfig, Form, HelperConfig, HttpConfig, HttpForm, ProviderConfig, SpeechConfig,
    SpeechError, VoiceInfo,
};
use store::{Cache, Temporary};
use vocab::Secret;

use crate::config::{BuiltIn, Plan, ProviderForm, ProviderPlan, VoicePlan};
use crate::serve::StartError;
use crate::services::Speaking;

/// The built-in provider that may be missing without a word.
const FLITE: &str = "flite";
/// How long a helper may take to a text's first sound, and how long it may pause.
const HELPER_FIRST_AUDIO: Duration = Duration::from_secs(5);
const HELPER_STALL: Duration = Duration::from_secs(3);
/// How long a connection to a service may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// The longest key.
const KEY_BYTES_MAX: u64 = 8_192;

/// A voice's gender, as SSML writes it.
pub const fn gender(voice: &VoiceInfo) -> Option<&'static str> {
    match voice.gender {
        Some(ssml::Gender::Female) => Some("female"),
        Some(ssml::Gender::Male) => Some("male"),
        Some(ssml::Gender::Neutral) => Some("neutral"),
        None => None,
    }
}

/// Starts speech. What can be done without is noted.
///
/// # Errors
/// What somebody wrote and is wrong: all would be silent, or spoken by somebody else, for a slip of the
/// pen.
pub async fn speaking(
    plan: &Plan,
    temporary: Temporary,
    cache: Option<Arc<Cache>>,
    notes: &mut Vec<String>,
) -> Result<Speaking, StartError> {
    if !plan.text_to_speech.enabled {
        return Ok(Speaking::Off);
    }
    let config = SpeechConfig { cache, temporary: Some(temporary), ..speech_config(plan)? };
    match speech::Speech::start(config).await {
        Ok(speech) => {
            for (provider, error) in speech.missing() {
                if provider == FLITE {
                    // English is spoken all the same, only less well.
                    tracing::info!(provider, %error, "a speech provider is left out");
                } else {
                    notes.push(format!("text_to_speech: {provider}: {error}; the others speak"));
                }
            }
            Ok(Speaking::On(speech))
        }
        Err(error @ SpeechError::DefaultVoice(_)) => {
            Err(StartError::new("text_to_speech.default_voice", error))
        }
        Err(error) => {
            let why = format!("text_to_speech: {error}");
            notes.push(format!("{why}; text is not spoken"));
            Ok(Speaking::Missing(why))
        }
    }
}

/// The providers, the listed ones before those that are built in.
///
/// # Errors
/// A key that cannot be read, or no TLS.
pub fn speech_config(plan: &Plan) -> Result<SpeechConfig, StartError> {
    let tts = &plan.text_to_speech;
    let mut providers = Vec::new();
    for provider in &tts.providers {
        let form = form(provider)?;
        providers.push(ProviderConfig {
            name: provider.name.clone(),
            tags: provider.tags.clone(),
            form,
            first_audio: provider.first_audio,
            optional: false,
        });
    }
    for engine in &tts.built_in {
        providers.push(built_in(plan, *engine));
    }
    Ok(SpeechConfig {
        providers,
        default_voice: tts.default_voice.clone(),
        ..SpeechConfig::default()
    })
}

fn built_in(plan: &Plan, engine: BuiltIn) -> ProviderConfig {
    let tts = &plan.text_to_speech;
    let (name, program, phonemes) = match engine {
        BuiltIn::Flite => (FLITE, helper("speech-flite"), false),
        BuiltIn::Espeak => {
            let program = tts.helper_path.clone().unwrap_or_else(|| helper("speech-espeak"));
            ("espeak", program, true)
        }
    };
    let helper = HelperConfig {
        program,
        processes: Some(tts.helpers),
        phonemes,
        // eSpeak NG is faster than a disk.
        keep: engine == BuiltIn::Flite,
        stall: HELPER_STALL,
    };
    ProviderConfig {
        name: name.to_owned(),
        tags: Vec::new(),
        form: Form::Helper(helper),
        first_audio: HELPER_FIRST_AUDIO,
        // Whoever else there is speaks instead.
        optional: true,
    }
}

/// A helper program: beside our own program, or in `PATH`.
fn helper(name: &str) -> PathBuf {
    let beside = speech::helper_beside(name);
    if beside.is_file() {
        return beside;
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&folders).map(|folder| folder.join(name));
    found.find(|path| path.is_file()).unwrap_or(beside)
}

fn form(provider: &ProviderPlan) -> Result<Form, StartError> {
    let voices: Vec<VoiceInfo> = provider.voices.iter().map(voice).collect();
    let stall = provider.stall;
    let http = |form, uri: &str, key: Option<Secret>| -> Result<HttpConfig, StartError> {
        let client = sources::http_client("entracte", CONNECT)
            .map_err(|why| StartError::new("text_to_speech.providers", why))?;
        let (model, format) = (String::new(), String::new());
        let (uri, voices) = (uri.to_owned(), voices.clone());
        Ok(HttpConfig { form, uri, key, model, format, pcm_hz: 0, voices, client, stall })
    };
    Ok(match &provider.form {
        ProviderForm::OpenAi { uri, key_file, model, format, pcm_hz } => Form::Http(HttpConfig {
            model: model.clone(),
            format: format.clone(),
            pcm_hz: *pcm_hz,
            ..http(HttpForm::OpenAi, uri, key(&provider.name, key_file.as_deref())?)?
        }),
        ProviderForm::Piper { uri, key_file } => {
            Form::Http(http(HttpForm::Piper, uri, key(&provider.name, key_file.as_deref())?)?)
        }
        ProviderForm::Command { program, arguments, raw_hz, processes } => {
            Form::Command(CommandConfig {
                program: program.clone(),
                arguments: arguments.clone(),
                raw_hz: *raw_hz,
                processes: *processes,
                voices,
                stall,
            })
        }
    })
}

fn voice(plan: &VoicePlan) -> VoiceInfo {
    let languages: Vec<&str> = plan.languages.iter().map(String::as_str).collect();
    let mut voice = VoiceInfo::new(&plan.id, &languages, plan.gender);
    voice.age = plan.age;
    voice
}

/// The first line of a key's file.
fn key(provider: &str, file: Option<&Path>) -> Result<Option<Secret>, StartError> {
    let Some(file) = file else { return Ok(None) };
    let fails = |why: String| {
        let what = format!("{provider}: key_file {}: {why}", file.display());
        StartError::new("text_to_speech.providers", what)
    };
    let bytes = std::fs::metadata(file).map_err(|error| fails(error.to_string()))?.len();
    if bytes > KEY_BYTES_MAX {
        return Err(fails(format!("longer than {KEY_BYTES_MAX} bytes")));
    }
    let text = std::fs::read_to_string(file).map_err(|error| fails(error.to_string()))?;
    match text.lines().next().map(str::trim) {
        Some(line) if !line.is_empty() => Ok(Some(Secret::new(line.to_owned()))),
        Some(_) | None => Err(fails("there is nothing in its first line".to_owned())),
    }
}
