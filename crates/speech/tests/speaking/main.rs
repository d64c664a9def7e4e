//! Real helpers with the real library behind them.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests of real processes: they may panic, and they look at the clock"
)]

mod heard;
mod providers;
mod service;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use speech::{Chunk, Form, Speech, SpeechConfig, SpeechError};
use ssml::Gender;
use tokio::time::timeout;

use crate::heard::{Heard, helpers, marked_up, plain, start};

#[tokio::test]
async fn text_is_heard_with_its_words_and_sentences() {
    let speech = start(1).await;
    let heard = Heard::all(speech.speak(plain("Hello world. It is 10 o'clock."))).await;
    println!("first sound after {:?}", heard.first);
    assert_eq!(heard.error, None);
    assert_eq!(heard.order(), "|s |w |w |s |w |w |w |w");
    assert!((1_500..3_500).contains(&heard.length_ms()), "{} ms", heard.length_ms());
    for pair in heard.points.windows(2).filter(|pair| pair[0].0 == "|w") {
        let (from, to) = (pair[0].1, pair[1].1);
        assert!(heard.level(from, to) > 300.0, "silence between {from} and {to}");
    }
    assert!((100..600).contains(&heard.longest_pause_ms()));
    // What is not part of the text is trimmed at both ends.
    assert!(heard.samples[..80].iter().any(|sample| sample.unsigned_abs() > 16));
    assert!(heard.samples[heard.samples.len() - 80..].iter().any(|s| s.unsigned_abs() > 16));
}

#[tokio::test]
async fn marks_and_borders_stand_between_their_words() {
    let speech = start(1).await;
    let run = marked_up(
        "<p><s>Hello <mark name='a'/>world 123</s><s>Fish &amp; chips, two.</s></p>\
         <p>Third <mark name='b &lt; c'/><mark name='a'/>one. Fourth.</p>",
    );
    let words = run.words();
    let heard = Heard::all(speech.speak(run)).await;
    assert_eq!(heard.order(), "|p |s |w a |w |w |s |w |w |w |w |p |s |w b < c a |w |s |w");
    assert_eq!(heard.count("|w"), words);
    assert!(heard.points.windows(2).all(|pair| pair[0].1 <= pair[1].1));
    // "Hello" takes about 300 ms; the mark stands where it ends.
    assert!((200..400).contains(&(heard.place("a") / 8)), "{}", heard.place("a"));
    assert_eq!(heard.place("a"), heard.points[4].1, "a mark stands where the next word begins");
}

#[tokio::test]
async fn a_helper_that_is_missing_is_said_at_once() {
    let path = PathBuf::from("/nonexistent/speech-espeak");
    let config = SpeechConfig::espeak(path.clone(), None);
    assert_eq!(Speech::start(config).await.unwrap_err(), SpeechError::NoHelper { path });
    let config = SpeechConfig::espeak("/bin/true".into(), None);
    let error = Speech::start(config).await.unwrap_err();
    assert!(matches!(error, SpeechError::HelperFails(_)), "{error}");
    let config = SpeechConfig {
        default_voice: "nonesuch".into(),
        ..SpeechConfig::espeak(heard::helper(), None)
    };
    let error = Speech::start(config).await.unwrap_err();
    assert_eq!(error, SpeechError::DefaultVoice("nonesuch".into()));
}

#[tokio::test]
async fn voices_are_listed_and_chosen() {
    let speech = start(1).await;
    assert!(speech.voices().filter(|voice| !voice.variant).count() > 50);
    assert_eq!(speech.default_language(), "en-us");
    let mut german = plain("Guten Tag.");
    german.style.language = "de-DE".into();
    german.style.voice.gender = Some(Gender::Female);
    assert_eq!(speech.choose(&german.style).unwrap().voice, "de+f2");
    assert!(Heard::all(speech.speak(german)).await.length_ms() > 300);
    let mut klingon = plain("nuqneH");
    klingon.style.language = "tlh".into();
    let heard = Heard::all(speech.speak(klingon)).await;
    assert_eq!(heard.error, Some(SpeechError::Language("tlh".into())));
    assert_eq!(heard.samples.len(), 0);
}

#[tokio::test]
async fn every_voice_that_is_listed_speaks_by_its_id_and_by_its_language() {
    let speech = start(2).await;
    let voices: Vec<_> = speech.voices().filter(|voice| !voice.variant).collect();
    for voice in voices {
        // The last word is for the one voice that has no numbers: Cherokee.
        let mut by_id = plain("1 2 3 ᎣᏏᏲ");
        by_id.style.voice.names = vec![voice.id.clone()];
        let mut by_language = plain("1 2 3 ᎣᏏᏲ");
        by_language.style.language = voice.languages[0].clone();
        for run in [by_id, by_language] {
            let heard = Heard::all(speech.speak(run)).await;
            assert_eq!(heard.error, None, "{voice:?}");
            assert!(heard.length_ms() > 100, "{voice:?}: {} ms", heard.length_ms());
        }
    }
    for (tag, expected) in [("en-GB", "en-gb"), ("fr", "fr-fr"), ("fr-BE", "fr-be")] {
        let mut run = plain("1");
        run.style.language = tag.into();
        assert_eq!(speech.choose(&run.style).unwrap().voice, expected);
    }
}

#[tokio::test]
async fn rate_volume_and_pitch_are_followed() {
    let text = "Your call is important to us and will be answered by the next agent";
    let speech = start(1).await;
    let usual = Heard::all(speech.speak(plain(text))).await;
    let level = |heard: &Heard| heard.level(0, heard.samples.len());
    for (rate, slack) in [(0.5_f64, 0.05), (0.8, 0.05), (1.25, 0.05), (2.0, 0.1)] {
        let run = marked_up(&format!("<prosody rate='{}%'>{text}</prosody>", rate * 100.0));
        let heard = Heard::all(speech.speak(run)).await;
        let length = |heard: &Heard| f64::from(u32::try_from(heard.length_ms()).unwrap());
        let got = length(&usual) / length(&heard);
        assert!((got / rate - 1.0).abs() < slack, "{rate} gave {got:.3}");
    }
    let run = marked_up(&format!("<prosody volume='-12dB'>{text}</prosody>"));
    let softer = Heard::all(speech.speak(run)).await;
    let change = 20.0 * (level(&softer) / level(&usual)).log10();
    assert!((change + 12.0).abs() < 0.2, "{change:.2} dB");
    let run = marked_up(&format!("<prosody volume='silent'>{text}</prosody>"));
    let silent = Heard::all(speech.speak(run)).await;
    assert!(level(&silent) < 0.1 && silent.length_ms().abs_diff(usual.length_ms()) < 20);
    // A higher pitch crosses zero more often.
    let crossings = |heard: &Heard| {
        heard.samples.windows(2).filter(|pair| (pair[0] < 0) != (pair[1] < 0)).count()
    };
    let run = marked_up(&format!("<prosody pitch='x-high'>{text}</prosody>"));
    let high = Heard::all(speech.speak(run)).await;
    assert!(high.samples != usual.samples && crossings(&high) > 0);
}

#[tokio::test]
async fn a_long_text_comes_whole_through_a_slow_listener() {
    let speech = start(1).await;
    let sentence = "This is sentence number one, and here is some more of it. ";
    let run = plain(&sentence.repeat(60));
    let words = run.words();
    let mut chunks = speech.speak(run);
    let mut heard = Heard::default();
    let begun = Instant::now();
    // The first chunk is not taken on for a while: the helper must be free for others all the same.
    heard.take(chunks.recv().await.unwrap(), begun);
    let other = Heard::all(speech.speak(plain("Meanwhile."))).await;
    assert!(other.length_ms() > 300);
    while let Some(chunk) = timeout(Duration::from_secs(20), chunks.recv()).await.unwrap() {
        heard.take(chunk, begun);
    }
    assert_eq!(heard.error, None);
    assert_eq!((heard.count("|w"), heard.count("|s")), (words, 60));
    let one = Heard::all(speech.speak(plain(sentence))).await.length_ms();
    assert!(heard.length_ms() > 60 * one && heard.length_ms() < 60 * (one + 500));
    assert!(heard.longest_pause_ms() < 500, "{} ms", heard.longest_pause_ms());
}

#[tokio::test]
async fn nobody_listening_frees_the_helper() {
    let speech = start(1).await;
    for _ in 0..20 {
        let mut chunks = speech.speak(plain(&"On and on and on it goes. ".repeat(1_000)));
        assert!(matches!(chunks.recv().await, Some(Ok(_))));
        drop(chunks);
    }
    let begun = Instant::now();
    let heard = Heard::all(speech.speak(plain("Now me."))).await;
    println!("after 20 dropped runs: first sound after {:?}", heard.first);
    assert!(heard.length_ms() > 300 && begun.elapsed() < Duration::from_secs(5));
    assert_eq!(helpers(&speech).restarts, 0);
    assert_eq!(speech.state().runs, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_runs_on_two_helpers_all_end() {
    let speech = start(2).await;
    let text = "You are number twelve in the queue. Please stay on the line.";
    let alone = Heard::all(speech.speak(plain(text))).await;
    let runs: Vec<_> = (0..100)
        .map(|_| {
            let chunks = speech.speak(plain(text));
            tokio::spawn(Heard::all(chunks))
        })
        .collect();
    let begun = Instant::now();
    let mut firsts = Vec::new();
    for run in runs {
        let heard = run.await.unwrap();
        assert_eq!(heard.error, None);
        // The library never speaks quite the same twice.
        assert!(heard.samples.len().abs_diff(alone.samples.len()) < 200);
        firsts.extend(heard.first);
    }
    firsts.sort();
    println!(
        "100 runs in {:?}; first sound p50 {:?} max {:?}",
        begun.elapsed(),
        firsts[50],
        firsts[99]
    );
    assert_eq!(helpers(&speech).helpers.len(), 2);
}

/// Ends a process at once, as the kernel would when memory runs out.
fn kill(pid: u32) {
    let status = std::process::Command::new("/bin/kill").args(["-9", &pid.to_string()]).status();
    assert!(status.unwrap().success());
}

#[tokio::test]
async fn when_a_helper_is_killed_in_mid_sentence_the_rest_is_heard() {
    let speech = start(1).await;
    let text: String =
        (0..30).map(|n| format!("Item {n} <mark name='m{n}'/>of the list, ")).collect();
    let run = marked_up(&text);
    let words = run.words();
    let mut chunks = speech.speak(run.clone());
    let mut heard = Heard::default();
    let begun = Instant::now();
    let mut killed = false;
    while let Some(chunk) = timeout(Duration::from_secs(20), chunks.recv()).await.unwrap() {
        let sound = matches!(chunk, Ok(Chunk::Samples(_)));
        heard.take(chunk, begun);
        if sound && !std::mem::replace(&mut killed, true) {
            kill(helpers(&speech).helpers[0].pid.unwrap());
        }
    }
    assert_eq!(heard.error, None);
    let state = helpers(&speech);
    println!("{state:?}");
    assert_eq!((state.restarts, state.rescued), (1, 1), "it was killed while it spoke");
    assert_eq!(heard.count("|w"), words);
    let marks: Vec<String> = (0..30).map(|n| format!("m{n}")).collect();
    let told: Vec<&String> =
        heard.points.iter().map(|(name, _)| name).filter(|name| name.starts_with('m')).collect();
    assert_eq!(told, marks.iter().collect::<Vec<_>>());
    let whole = Heard::all(speech.speak(run)).await;
    // The pause it died in may be gone, no word is.
    assert!(heard.voiced_ms() + 60 > whole.voiced_ms(), "something was not said");
    assert!(heard.length_ms() < whole.length_ms() + 3_000, "much was said twice");
}

#[tokio::test]
async fn an_idle_helper_that_is_killed_is_replaced() {
    let speech = start(1).await;
    assert!(Heard::all(speech.speak(plain("Before."))).await.length_ms() > 300);
    let before = helpers(&speech).helpers[0].pid.unwrap();
    kill(before);
    assert!(Heard::all(speech.speak(plain("After."))).await.length_ms() > 300);
    let after = helpers(&speech);
    assert_ne!(after.helpers[0].pid, Some(before));
    assert_eq!(after.restarts, 1);
}

/// Whether a process with this id exists and is not a corpse.
fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

#[tokio::test]
async fn a_helper_that_hangs_is_replaced_and_the_text_is_heard() {
    let mut config = SpeechConfig::espeak(heard::helper(), Some(1));
    if let Form::Helper(helper) = &mut config.providers[0].form {
        helper.stall = Duration::from_millis(300);
    }
    let speech = Speech::start(config).await.unwrap();
    assert!(Heard::all(speech.speak(plain("Before."))).await.length_ms() > 300);
    let stuck = helpers(&speech).helpers[0].pid.unwrap();
    let status =
        std::process::Command::new("/bin/kill").args(["-STOP", &stuck.to_string()]).status();
    assert!(status.unwrap().success());
    let heard = Heard::all(speech.speak(plain("After all."))).await;
    assert_eq!((heard.error.clone(), heard.count("|w")), (None, 2));
    assert!(!lives(stuck), "the stuck one is still there");
    assert_eq!(helpers(&speech).restarts, 1);
}

#[tokio::test]
async fn a_text_that_kills_every_helper_fails_and_is_never_silence() {
    let speech = start(1).await;
    let mut chunks = speech.speak(plain(&"Again and again and again we go. ".repeat(30)));
    let mut error = None;
    while let Some(chunk) = timeout(Duration::from_secs(20), chunks.recv()).await.unwrap() {
        // Each helper dies as soon as it has made a sound.
        if let Some(pid) = helpers(&speech).helpers[0].pid.filter(|pid| lives(*pid)) {
            kill(pid);
        }
        error = chunk.err();
    }
    // Either it got through between two deaths, or it says why not.
    assert!(matches!(error, None | Some(SpeechError::Died { .. })), "{error:?}");
    assert!(Heard::all(speech.speak(plain("Still here."))).await.length_ms() > 300);
}

#[tokio::test]
async fn the_helpers_end_with_the_last_handle() {
    let speech = start(2).await;
    assert!(Heard::all(speech.speak(plain("Hello."))).await.length_ms() > 300);
    let pids: Vec<u32> = helpers(&speech).helpers.iter().filter_map(|helper| helper.pid).collect();
    assert!(!pids.is_empty() && pids.iter().all(|pid| lives(*pid)));
    let run = speech.speak(plain("The run goes on without the handle."));
    drop(speech);
    assert_eq!(Heard::all(run).await.error, None);
    let begun = Instant::now();
    while pids.iter().any(|pid| lives(*pid)) {
        assert!(begun.elapsed() < Duration::from_secs(10), "a helper stayed behind");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_run_that_speech_follows_keeps_the_pause_of_its_sentence() {
    let speech = start(1).await;
    let mut run = plain("The first sentence.");
    let alone = Heard::all(speech.speak(run.clone())).await.length_ms();
    run.joined = true;
    let joined = Heard::all(speech.speak(run)).await.length_ms();
    assert!((150..600).contains(&(joined - alone)), "{alone} and {joined}");
    let mut run = plain("not a sentence");
    let alone = Heard::all(speech.speak(run.clone())).await.length_ms();
    run.joined = true;
    let joined = Heard::all(speech.speak(run)).await.length_ms();
    assert!(joined.abs_diff(alone) < 30, "{alone} and {joined}");
}
