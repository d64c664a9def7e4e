//! `entracte sources` as it is typed. Devices behind real sound servers are in `sources`' own tests.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::path::PathBuf;
use std::process::{Command, Output};

fn music() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../sources/assets/hold-music.wav");
    PathBuf::from(path).canonicalize().unwrap().display().to_string()
}

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_entracte"));
    command.arg("sources").args(arguments);
    command.args(["--set", "general.listen_interface=127.0.0.1"]);
    command.args(["--set", "external_audio.sound_server=unix:/nowhere/at/all"]);
    let source = format!("[{{ name = 'Lobby', uri = 'file:{}' }}]", music());
    command.args(["--set", &format!("external_audio.sources={source}")]);
    command.output().unwrap()
}

fn said(output: &Output) -> (i32, String) {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    (output.status.code().unwrap(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn a_source_that_can_be_heard_is_described() {
    let output = run(&["test", "LOBBY", "--seconds", "1", "--json"]);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert_eq!(told["ok"], true);
    assert_eq!(told["codec"], "pcm_s16le 8000 Hz mono");
    let loudness = told["loudness_lufs"].as_f64().unwrap();
    assert!((-40.0..-10.0).contains(&loudness), "{told}");
    assert!(told["first_sample_ms"].as_u64().unwrap() <= told["heard_ms"].as_u64().unwrap());
    // For people the same.
    let (status, text) = said(&run(&["test", &format!("file:{}", music()), "--seconds", "1"]));
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("LUFS") && text.contains("first sample"), "{text}");
}

#[test]
fn what_is_wrong_with_a_source_is_said() {
    for (wanted, status, expected) in [
        ("file:/nowhere/at/all.wav", 1, "cannot be read: No such file or directory"),
        ("http://127.0.0.1:9/radio", 1, "cannot be reached: Connection refused"),
        ("device:line-in", 1, "no sound server: Connection refused"),
        ("Lobbi", 2, "no source is called \"Lobbi\" (the configuration names Lobby)"),
        ("ftp://h/x", 2, "it is no file:, http:, https:, rtp: or device: URI"),
    ] {
        let (code, text) = said(&run(&["test", wanted]));
        assert_eq!(code, status, "{text}");
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn a_file_of_silence_is_said_to_be_silent() {
    let path = std::env::temp_dir().join(format!("entracte-silence-{}.wav", std::process::id()));
    let bytes = audio::wav::to_bytes(audio::wav::Format::TELEPHONE, &[0; 16_000]);
    std::fs::write(&path, bytes).unwrap();
    let (status, text) = said(&run(&["test", path.to_str().unwrap(), "--seconds", "1"]));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(status, 1, "{text}");
    assert!(text.contains("it gives silence"), "{text}");
}

#[test]
fn a_source_is_listened_to_into_a_file() {
    let path = std::env::temp_dir().join(format!("entracte-listen-{}.wav", std::process::id()));
    let (status, text) =
        said(&run(&["listen", "Lobby", "--seconds", "1", "--out", path.to_str().unwrap()]));
    assert_eq!(status, 0, "{text}");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let samples = audio::wav::read(&bytes).unwrap().samples();
    assert_eq!(samples.len(), 8_000);
    assert!(audio::measure::rms_dbfs(&samples) > -40.0);
}

#[test]
fn without_a_sound_server_the_list_of_devices_says_so() {
    let (status, text) = said(&run(&["devices"]));
    assert_eq!((status, text.as_str()), (1, "entracte: no sound server: Connection refused\n"));
}
