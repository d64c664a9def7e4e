//! Several providers: who speaks, and what happens when one fails.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use speech::{
    CommandConfig, Form, HttpConfig, HttpForm, ProviderConfig, Speech, SpeechConfig, SpeechError,
    VoiceInfo,
};
use ssml::Gender;
use store::{Cache, Temporary};

use crate::heard::{self, Heard, marked_up, plain};
use crate::service::{Manner, Service};

/// How long a test's service may take to its first sound.
const FIRST: Duration = Duration::from_millis(600);

fn voice(id: &str, language: &str, gender: Gender) -> VoiceInfo {
    VoiceInfo::new(id, &[language], Some(gender))
}

fn provider(name: &str, form: Form) -> ProviderConfig {
    let tags = vec!["premium".to_owned()];
    ProviderConfig { name: name.into(), tags, form, first_audio: FIRST, optional: false }
}

fn web(name: &str, service: &Service) -> ProviderConfig {
    provider(
        name,
        Form::Http(HttpConfig {
            form: HttpForm::OpenAi,
            uri: service.uri.clone(),
            key: None,
            model: "tts-1".into(),
            format: "pcm".into(),
            pcm_hz: 24_000,
            voices: vec![voice("nova", "en-US", Gender::Female)],
            client: client(),
            stall: Duration::from_millis(400),
        }),
    )
}

fn client() -> reqwest::Client {
    // No server of these tests is asked over TLS.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap()
}

/// These before eSpeak NG.
async fn before_espeak(providers: Vec<ProviderConfig>) -> Speech {
    let mut config = SpeechConfig::espeak(heard::helper(), Some(1));
    config.providers.splice(0..0, providers);
    Speech::start(config).await.unwrap()
}

async fn alone(provider: ProviderConfig) -> Speech {
    let config = SpeechConfig {
        providers: vec![provider],
        default_voice: "en".into(),
        ..SpeechConfig::default()
    };
    Speech::start(config).await.unwrap()
}

#[tokio::test]
async fn a_service_speaks_with_words_sentences_and_exact_marks() {
    for manner in [Manner::Pcm, Manner::Wav] {
        let service = Service::start(manner).await;
        let speech = alone(web("neural", &service)).await;
        let run = marked_up("Hello <mark name='a'/>big world. <p>Bye <mark name='b'/>now.</p>");
        let heard = Heard::all(speech.speak(run)).await;
        assert_eq!(heard.error, None);
        assert_eq!(heard.order(), "|s |w a |w |w |p |s |w b |w", "{manner:?}");
        assert_eq!(heard.voices, [("neural/nova".to_owned(), 0)]);
        // Four texts of two seconds, between which the points lie.
        assert!(heard.length_ms().abs_diff(8_000) < 80, "{} ms", heard.length_ms());
        assert!(heard.place("a").abs_diff(16_000) < 160, "{}", heard.place("a"));
        assert!(heard.level(0, heard.samples.len()) > 5_000.0);
        let bodies = service.bodies();
        assert_eq!(bodies.len(), 4);
        let first: serde_json::Value = serde_json::from_str(&bodies[0]).unwrap();
        let expected = serde_json::json!({
            "model": "tts-1", "input": "Hello", "voice": "nova", "response_format": "pcm",
        });
        assert_eq!(first, expected);
    }
}

#[tokio::test]
async fn rate_and_volume_are_kept_by_us() {
    let service = Service::start(Manner::Pcm).await;
    let speech = alone(web("neural", &service)).await;
    for (prosody, length_ms, level) in
        [("rate='50%'", 4_000, 7_071.0), ("rate='2' volume='-12dB'", 1_000, 1_776.0)]
    {
        let run = marked_up(&format!("<prosody {prosody}>Hello world</prosody>"));
        let heard = Heard::all(speech.speak(run)).await;
        assert!(heard.length_ms().abs_diff(length_ms) < 80, "{prosody}: {} ms", heard.length_ms());
        let got = heard.level(0, heard.samples.len());
        assert!((got / level - 1.0).abs() < 0.05, "{prosody}: {got}");
    }
}

#[tokio::test]
async fn complaint_23_sound_is_heard_while_the_rest_is_made() {
    let service = Service::start(Manner::Slowly).await;
    let speech = alone(web("neural", &service)).await;
    let begun = Instant::now();
    let heard = Heard::all(speech.speak(plain("Hello world"))).await;
    let (first, all) = (heard.first.unwrap(), begun.elapsed());
    // The service takes one second; the first of its ten blocks is heard long before.
    assert!(first < all / 3, "the first sound after {first:?} of {all:?}");
    assert!(heard.length_ms().abs_diff(2_000) < 40);
}

#[tokio::test]
async fn whatever_fails_the_next_provider_speaks_and_the_reason_is_known() {
    for (manner, expected) in [
        (Manner::Late(Duration::from_secs(5)), "no speech within the time allowed"),
        (Manner::Status(500), "it answers 500: out_of_order"),
        (Manner::Status(401), "it answers 401: out_of_order"),
        (Manner::Busy(17), "it answers 429"),
        (Manner::Page, "it sent text/html, not sound"),
        (Manner::Words, "it sent no sound: text, not sound"),
        (Manner::Silence, "what came for the text was silence"),
        (Manner::Hangup, "connection closed before message completed"),
    ] {
        let service = Service::start(manner).await;
        let speech = before_espeak(vec![web("neural", &service)]).await;
        let heard = Heard::all(speech.speak(plain("Hello world, this is a test."))).await;
        assert_eq!(heard.error, None, "{manner:?}");
        assert_eq!(heard.count("|w"), 6, "{manner:?}");
        assert_eq!(heard.voices.last().unwrap().0, "espeak/en-us", "{manner:?}");
        assert!(heard.length_ms() > 1_000, "{manner:?}: {} ms", heard.length_ms());
        let state = speech.state().providers.swap_remove(0);
        let (rests, why) = (state.rests, state.failed.unwrap());
        assert_eq!(why.trim_start_matches("neural: "), expected, "{manner:?}");
        assert_eq!((state.spoken, state.failures), (0, 1));
        if manner == Manner::Busy(17) {
            assert!(rests > Duration::from_secs(15), "Retry-After is kept: {rests:?}");
        }
        // Who failed a moment ago is not waited for again.
        let again = Heard::all(speech.speak(plain("Once more."))).await;
        assert_eq!(again.voices.len(), 1);
        assert!(again.first.unwrap() < FIRST, "{:?}", again.first);
        assert_eq!(service.asked(), 1);
    }
}

#[tokio::test]
async fn a_sound_in_no_format_or_in_another_than_was_asked_for() {
    let service = Service::start(Manner::Garbage).await;
    let mut provider = web("neural", &service);
    if let Form::Http(http) = &mut provider.form {
        http.format = "mp3".into();
    }
    let speech = before_espeak(vec![provider.clone()]).await;
    let heard = Heard::all(speech.speak(plain("Hello world."))).await;
    assert_eq!((heard.error.clone(), heard.count("|w")), (None, 2));
    assert_eq!(heard.voices.last().unwrap().0, "espeak/en-us");
    let why = speech.state().providers[0].failed.clone().unwrap();
    assert!(why.starts_with("it sent no sound: "), "{why}");
    // A WAV file for an MP3 is still a sound.
    service.behave(Manner::Wav);
    let heard = Heard::all(alone(provider).await.speak(plain("Hello"))).await;
    assert_eq!((heard.error.clone(), heard.length_ms().abs_diff(2_000) < 40), (None, true));
}

#[tokio::test]
async fn a_sound_that_breaks_is_ended_by_the_next_provider() {
    for manner in [Manner::Cut, Manner::Stall] {
        let service = Service::start(manner).await;
        let speech = before_espeak(vec![web("neural", &service)]).await;
        let text = "One two three four five six seven eight nine ten.";
        let heard = Heard::all(speech.speak(plain(text))).await;
        assert_eq!((heard.error.clone(), heard.count("|w")), (None, 10), "{manner:?}");
        let voices: Vec<&str> = heard.voices.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(voices, ["neural/nova", "espeak/en-us"], "{manner:?}");
        // Half a second of it was heard.
        let from = heard.voices[1].1;
        assert!(from.abs_diff(4_000) < 80, "{manner:?}: {from}");
        // Three letters of the text are sure by then, so all of it is said again.
        let whole = Heard::all(speech.speak(plain(text))).await.length_ms();
        let rest = heard.length_ms() - from / 8;
        assert!(rest + 200 > whole, "{manner:?}: {rest} of {whole}");
    }
}

#[tokio::test]
async fn no_word_is_lost_when_a_slow_voice_breaks_off() {
    // It speaks half a second, in which a slow voice is at the third letter and a quick one at the tenth.
    let (first, second) = (Service::start(Manner::Cut).await, Service::start(Manner::Pcm).await);
    let speech = {
        let providers = vec![web("first", &first), web("second", &second)];
        let config =
            SpeechConfig { providers, default_voice: "en".into(), ..SpeechConfig::default() };
        Speech::start(config).await.unwrap()
    };
    for (text, words, expected) in [
        ("A b c d e f g h i j.", 10, "A b c d e f g h i j."),
        ("Yes 4 7 1 1 9.", 6, "Yes 4 7 1 1 9."),
        ("お電話ありがとうございます。", 1, "お電話ありがとうございます。"),
    ] {
        let before = second.asked();
        let heard = Heard::all(speech.speak(plain(text))).await;
        assert_eq!((heard.error.clone(), heard.count("|w")), (None, words), "{text}");
        let asked: serde_json::Value = serde_json::from_str(&second.bodies()[before]).unwrap();
        assert_eq!(asked["input"], expected);
        first.behave(Manner::Pcm);
        // It is asked first again once it has spoken.
        let named = marked_up("<voice name='first'>Well</voice>");
        Heard::all(speech.speak(named)).await;
        first.behave(Manner::Cut);
    }
}

#[tokio::test]
async fn a_sound_without_end_is_ended() {
    let service = Service::start(Manner::Endless).await;
    let speech = before_espeak(vec![web("neural", &service)]).await;
    let heard = Heard::all(speech.speak(plain("Hi there."))).await;
    assert_eq!(heard.error, None);
    let why = speech.state().providers[0].failed.clone().unwrap();
    assert_eq!(why, "it speaks 28 s for 9 letters");
    assert!(heard.length_ms() < 32_000, "{} ms", heard.length_ms());
}

#[tokio::test]
async fn a_file_that_is_shorter_than_it_says_is_not_whole() {
    let service = Service::start(Manner::Short).await;
    let speech = before_espeak(vec![web("neural", &service)]).await;
    let heard = Heard::all(speech.speak(plain("Hello world."))).await;
    assert_eq!((heard.error.clone(), heard.voices.len()), (None, 2));
    let why = speech.state().providers[0].failed.clone().unwrap();
    assert!(why.contains("bytes too soon"), "{why}");
}

#[tokio::test]
async fn many_who_see_one_failure_count_it_once() {
    let service = Service::start(Manner::Late(Duration::from_secs(5))).await;
    let speech = before_espeak(vec![web("neural", &service)]).await;
    let runs: Vec<_> = (0..8)
        .map(|n| tokio::spawn(Heard::all(speech.speak(plain(&format!("Hello {n}"))))))
        .collect();
    for run in runs {
        assert_eq!(run.await.unwrap().error, None);
    }
    let state = speech.state().providers.swap_remove(0);
    assert!(state.rests <= Duration::from_secs(5), "{:?}", state.rests);
    assert_eq!(state.failures, 8);
}

#[tokio::test]
async fn what_is_wrong_with_one_text_is_nothing_against_the_next() {
    let service = Service::start(Manner::Status(400)).await;
    let speech = before_espeak(vec![web("neural", &service)]).await;
    assert_eq!(Heard::all(speech.speak(plain("Hello"))).await.error, None);
    service.behave(Manner::Pcm);
    let heard = Heard::all(speech.speak(plain("Hello"))).await;
    assert_eq!(heard.voices, [("neural/nova".to_owned(), 0)]);
}

#[tokio::test]
async fn without_another_provider_the_reason_is_the_answer() {
    let service = Service::start(Manner::Status(503)).await;
    let speech = alone(web("neural", &service)).await;
    let heard = Heard::all(speech.speak(plain("Hello."))).await;
    let why = "neural: it answers 503: out_of_order".to_owned();
    assert_eq!(heard.error, Some(SpeechError::Provider(why)));
    // It is asked again all the same: there is nobody else.
    service.behave(Manner::Pcm);
    let heard = Heard::all(speech.speak(plain("Hello."))).await;
    assert_eq!((heard.error.clone(), heard.count("|w")), (None, 1));
    assert_eq!(speech.state().providers[0].failed, None);
}

#[tokio::test]
async fn nobody_listening_ends_the_request() {
    let service = Service::start(Manner::Stall).await;
    let speech = alone(web("neural", &service)).await;
    for _ in 0..5 {
        let mut chunks = speech.speak(plain("Hello."));
        assert!(chunks.recv().await.is_some());
    }
    let begun = Instant::now();
    while speech.state().runs > 0 {
        assert!(begun.elapsed() < Duration::from_secs(2));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_named_provider_or_voice_is_asked_first_and_languages_find_their_provider() {
    let service = Service::start(Manner::Pcm).await;
    let speech = before_espeak(vec![web("neural", &service)]).await;
    let said = async |text: &str| {
        let heard = Heard::all(speech.speak(marked_up(text))).await;
        assert_eq!(heard.error, None, "{text}");
        heard.voices.last().unwrap().0.clone()
    };
    assert_eq!(said("Hello").await, "neural/nova");
    assert_eq!(said("<voice name='en-us'>Hello</voice>").await, "espeak/en-us");
    assert_eq!(said("<voice name='espeak'>Hello</voice>").await, "espeak/en-us");
    assert_eq!(said("<voice name='premium'>Hello</voice>").await, "neural/nova");
    assert_eq!(said("<s xml:lang='de'>Guten Tag</s>").await, "espeak/de");
    assert_eq!(said("<voice gender='male'>Hello</voice>").await, "espeak/en-us");
}

fn kept_in(folder: &Path, provider: ProviderConfig) -> SpeechConfig {
    SpeechConfig {
        providers: vec![provider],
        default_voice: "en".into(),
        cache: Some(Arc::new(Cache::open(folder, 10 << 20).unwrap())),
        temporary: None,
    }
}

#[tokio::test]
async fn what_was_spoken_once_is_kept_over_a_restart_and_a_spoilt_file_is_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(Manner::Pcm).await;
    let speech = Speech::start(kept_in(folder.path(), web("neural", &service))).await.unwrap();
    let first = Heard::all(speech.speak(plain("Hello world"))).await;
    assert_eq!(service.asked(), 1);
    let settled = Instant::now();
    let whole = |entry: std::io::Result<std::fs::DirEntry>| {
        !entry.unwrap().file_name().to_string_lossy().ends_with("part")
    };
    while !std::fs::read_dir(folder.path()).unwrap().any(whole) {
        assert!(settled.elapsed() < Duration::from_secs(5), "nothing is kept");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(speech);
    let speech = Speech::start(kept_in(folder.path(), web("neural", &service))).await.unwrap();
    let again = Heard::all(speech.speak(plain("Hello world"))).await;
    assert_eq!(service.asked(), 1, "it is read from the disk");
    assert_eq!(again.samples, first.samples);
    assert_eq!(again.order(), first.order());
    // Rate and volume are ours: the same sound serves them all.
    let faster = marked_up("<prosody rate='2'>Hello world</prosody>");
    assert!(Heard::all(speech.speak(faster)).await.length_ms() < 1_100);
    assert_eq!(service.asked(), 1);
    let entry = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&entry).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    std::fs::write(&entry, bytes).unwrap();
    let mended = Heard::all(speech.speak(plain("Hello world"))).await;
    assert_eq!((mended.samples, service.asked()), (first.samples, 2));
    assert!(Heard::all(speech.speak(plain("Hello there"))).await.length_ms() > 1_000);
    assert_eq!(service.asked(), 3);
}

#[tokio::test]
async fn what_breaks_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(Manner::Cut).await;
    let speech = Speech::start(kept_in(folder.path(), web("neural", &service))).await.unwrap();
    assert!(Heard::all(speech.speak(plain("Hello world"))).await.error.is_some());
    service.behave(Manner::Silence);
    assert!(Heard::all(speech.speak(plain("Hello world"))).await.error.is_some());
    service.behave(Manner::Pcm);
    let heard = Heard::all(speech.speak(plain("Hello world"))).await;
    assert_eq!((heard.error, service.asked()), (None, 3));
}

#[tokio::test]
async fn a_hundred_calls_for_one_text_ask_for_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(Manner::Slowly).await;
    let mut config = kept_in(folder.path(), web("neural", &service));
    config.providers[0].first_audio = Duration::from_secs(10);
    let speech = Speech::start(config).await.unwrap();
    let runs: Vec<_> = (0..100)
        .map(|_| tokio::spawn(Heard::all(speech.speak(plain("You are in the queue")))))
        .collect();
    for run in runs {
        let heard = run.await.unwrap();
        assert_eq!((heard.error, heard.samples.len() > 15_000), (None, true));
    }
    assert_eq!(service.asked(), 1);
}

fn command(program: &str, arguments: &[&str]) -> ProviderConfig {
    provider(
        "command",
        Form::Command(CommandConfig {
            program: program.into(),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            raw_hz: None,
            processes: 2,
            voices: vec![voice("en-gb", "en-GB", Gender::Male)],
            stall: Duration::from_secs(2),
        }),
    )
}

#[tokio::test]
async fn a_program_speaks_by_its_output_or_by_a_file_that_is_gone_afterwards() {
    // The helper's own library has a program; it is not there everywhere, so sox's stands in: a tone.
    let folder = tempfile::tempdir().unwrap();
    let (temporary, _) = Temporary::open(folder.path(), false).unwrap();
    let tone = "ffmpeg -v error -f lavfi -i sine=frequency=440:duration=1 -f wav";
    for script in [format!("cat >/dev/null; {tone} -"), format!("cat >/dev/null; {tone} -y $0")] {
        let arguments = ["-c", script.as_str(), "{wav}"];
        let by_file = script.ends_with("$0");
        let arguments = if by_file { &arguments[..] } else { &arguments[..2] };
        let mut provider = command("sh", arguments);
        provider.first_audio = Duration::from_secs(10);
        let config = SpeechConfig {
            providers: vec![provider],
            default_voice: "en-gb".into(),
            cache: None,
            temporary: Some(temporary.clone()),
        };
        let speech = Speech::start(config).await.unwrap();
        let heard = Heard::all(speech.speak(plain("Hello world"))).await;
        assert_eq!((heard.error.clone(), heard.count("|w")), (None, 2), "{script}");
        assert!(heard.length_ms().abs_diff(1_000) < 60, "{script}: {} ms", heard.length_ms());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn a_program_that_fails_says_why() {
    for (script, expected) in [
        ("echo no voice of it >&2; exit 3", "command: exit status: 3"),
        ("exit 0", "it gave no sound: nothing came"),
        ("echo '<html></html>'", "text, not sound"),
    ] {
        let speech = alone(command("sh", &["-c", script])).await;
        let heard = Heard::all(speech.speak(plain("Hello world"))).await;
        let Some(SpeechError::Provider(why)) = heard.error else { panic!("{script}") };
        assert!(why.contains(expected), "{script}: {why}");
    }
    let speech = alone(command("/nonexistent/program", &[])).await;
    let heard = Heard::all(speech.speak(plain("Hello world"))).await;
    assert!(heard.error.unwrap().to_string().starts_with("command: /nonexistent/program: "));
}

#[tokio::test]
async fn a_program_may_say_much_of_itself_and_takes_its_children_with_it() {
    let much = "cat >/dev/null; yes warning | head -c 200000 >&2; \
                ffmpeg -v error -f lavfi -i sine=frequency=440:duration=1 -f wav -";
    let mut provider = command("sh", &["-c", much]);
    provider.first_audio = Duration::from_secs(10);
    let heard = Heard::all(alone(provider).await.speak(plain("Hello world"))).await;
    assert_eq!((heard.error.clone(), heard.length_ms() > 900), (None, true));
    // Half a second of sound, and then a child that does nothing for long.
    let stalls = "ffmpeg -v error -f lavfi -i sine=duration=0.5 -f wav - </dev/null; \
                  sleep 61.5 & echo $! >$0; wait";
    let folder = tempfile::tempdir().unwrap();
    let number = folder.path().join("child");
    let mut provider = command("sh", &["-c", stalls, number.to_str().unwrap()]);
    provider.first_audio = Duration::from_secs(10);
    if let Form::Command(command) = &mut provider.form {
        command.stall = Duration::from_millis(300);
    }
    let begun = Instant::now();
    let heard = Heard::all(alone(provider).await.speak(plain("Hello world"))).await;
    let why = heard.error.unwrap().to_string();
    assert!(why.contains("nothing more came for 300 ms"), "{why}");
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    let child = std::fs::read_to_string(number).unwrap();
    let gone = Instant::now();
    while std::fs::read_to_string(format!("/proc/{}/stat", child.trim()))
        .is_ok_and(|stat| !stat.contains(") Z "))
    {
        assert!(gone.elapsed() < Duration::from_secs(5), "its child lives on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_program_that_lives_on_after_its_sound_is_not_waited_for() {
    let tone = "ffmpeg -v error -f lavfi -i sine=duration=0.5 -f wav - </dev/null";
    // Something it left behind holds its standard error; or it closes its output, and does not end.
    for (script, expected) in [
        (format!("{tone}; sleep 63.5 >/dev/null & echo $! >$0"), None),
        (format!("{tone}; echo $$ >$0; exec >&-; exec sleep 64.5"), Some("it does not end")),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let number = folder.path().join("left");
        let mut provider = command("sh", &["-c", &script, number.to_str().unwrap()]);
        provider.first_audio = Duration::from_secs(10);
        if let Form::Command(command) = &mut provider.form {
            command.stall = Duration::from_millis(300);
        }
        let begun = Instant::now();
        let heard = Heard::all(alone(provider).await.speak(plain("Hello"))).await;
        assert!(begun.elapsed() < Duration::from_secs(8), "{script}: {:?}", begun.elapsed());
        let error = heard.error.map(|error| error.to_string());
        assert_eq!(error.is_some(), expected.is_some(), "{script}: {error:?}");
        assert!(error.is_none_or(|error| error.contains(expected.unwrap_or_default())));
        let left = std::fs::read_to_string(number).unwrap();
        // It may be gone already, with its group.
        let _ = std::process::Command::new("/bin/kill").args(["-9", left.trim()]).status();
    }
}

#[tokio::test]
async fn a_program_that_is_busy_is_not_held_to_have_failed() {
    let slow = "cat >/dev/null; sleep 1.2; \
                ffmpeg -v error -f lavfi -i sine=duration=0.5 -f wav - </dev/null";
    let mut provider = command("sh", &["-c", slow]);
    provider.first_audio = Duration::from_secs(3);
    if let Form::Command(command) = &mut provider.form {
        command.processes = 1;
    }
    let speech = before_espeak(vec![provider]).await;
    let text =
        |n: usize| marked_up(&format!("<voice name='en-gb' languages='en-GB'>Hello {n}</voice>"));
    let runs: Vec<_> = (0..3).map(|n| tokio::spawn(Heard::all(speech.speak(text(n))))).collect();
    for run in runs {
        assert_eq!(run.await.unwrap().error, None);
    }
    let state = speech.state().providers.swap_remove(0);
    assert_eq!((state.failures, state.rests), (2, Duration::ZERO), "{:?}", state.failed);
}

#[tokio::test]
async fn the_text_is_no_argument_that_others_on_the_machine_could_read() {
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("seen");
    let script = format!("tr '\\0' ' ' </proc/$$/cmdline >{}; exit 1", seen.display());
    let speech = alone(command("sh", &["-c", &script, "{voice}", "{language}"])).await;
    let heard = Heard::all(speech.speak(plain("secret words"))).await;
    assert!(heard.error.is_some());
    let seen = std::fs::read_to_string(seen).unwrap();
    assert!(seen.contains("en-gb en-GB") && !seen.contains("secret"), "{seen}");
}
