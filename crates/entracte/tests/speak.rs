//! `entracte speak` as it is typed.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::path::PathBuf;
use std::process::{Command, Output};

fn helper() -> PathBuf {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_entracte"));
    let profile = program.parent().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", "speech-espeak", "--target-dir"]);
    cargo.arg(profile.parent().unwrap());
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.status().unwrap().success(), "the helper does not build");
    profile.join("speech-espeak")
}

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_entracte"));
    command.arg("speak").args(arguments);
    command.args(["--set", &format!("text_to_speech.helper_path={}", helper().display())]);
    command.args(["--set", "general.listen_interface=127.0.0.1"]);
    command.args(["--set", "text_to_speech.built_in=espeak"]);
    command.output().unwrap()
}

/// A file that is gone when the test is.
struct File(PathBuf);

impl File {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("entracte-speak-{}-{name}", std::process::id())))
    }

    fn name(&self) -> &str {
        self.0.to_str().unwrap()
    }

    fn samples(&self) -> Vec<i16> {
        audio::wav::read(&std::fs::read(&self.0).unwrap()).unwrap().samples()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn said(output: &Output) -> (i32, String) {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    (output.status.code().unwrap(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn text_becomes_a_wav_file() {
    let file = File::new("text.wav");
    let (status, told) = said(&run(&["Hello world, this is a test.", "-o", file.name()]));
    assert_eq!(status, 0, "{told}");
    assert!(told.contains(" s, voice en-us"), "{told}");
    let usual = file.samples();
    assert!((8_000..32_000).contains(&usual.len()), "{}", usual.len());
    assert!(audio::measure::rms_dbfs(&usual) > -35.0);
    let arguments =
        ["Hello world, this is a test.", "-o", file.name(), "--rate", "2.0", "--voice", "de+f3"];
    let (status, told) = said(&run(&arguments));
    assert_eq!(status, 0, "{told}");
    assert!(told.contains("voice de+f3"), "{told}");
    assert!(file.samples().len() < usual.len() * 3 / 4, "twice as fast is shorter");
}

#[test]
fn markup_is_heard_with_its_marks_and_breaks() {
    let file = File::new("ssml.wav");
    let document = "<speak>One<mark name='a'/><break time='700ms'/><audio src='tone:400;ms=300'/>\
                    <mark name='b'/></speak>";
    let (status, told) = said(&run(&[document, "--ssml", "--json", "-o", file.name()]));
    assert_eq!(status, 0, "{told}");
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let marks = told["marks"].as_array().unwrap();
    assert_eq!((&marks[0]["name"], &marks[1]["name"]), (&"a".into(), &"b".into()));
    let apart = marks[1]["at_ms"].as_u64().unwrap() - marks[0]["at_ms"].as_u64().unwrap();
    assert_eq!(apart, 1_000);
    assert_eq!(told["duration_ms"], file.samples().len() / 8);
    assert!(told["first_sound_ms"].as_u64().unwrap() < 2_000);
}

#[test]
fn the_file_may_go_to_standard_output() {
    let output = run(&["Hi.", "-o", "-"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(audio::wav::read(&output.stdout).unwrap().samples().len() > 1_000);
}

#[test]
fn voices_are_listed() {
    let (status, told) = said(&run(&["--list-voices"]));
    assert_eq!(status, 0, "{told}");
    for line in ["espeak: voices (", "  en-us", "  de ", "espeak: variants (", "  f3 "] {
        assert!(told.contains(line), "{line}: {told}");
    }
    let (status, told) = said(&run(&["--list-voices", "--json"]));
    assert_eq!(status, 0);
    let voices: Vec<serde_json::Value> = serde_json::from_str(&told).unwrap();
    let american = voices.iter().find(|voice| voice["id"] == "en-us").unwrap();
    assert_eq!((&american["variant"], &american["languages"][0]), (&false.into(), &"en-us".into()));
}

/// What is wrong is one line that names it, and the status says whose fault it is.
#[track_caller]
fn check(arguments: &[&str], status: i32, told: &str) {
    let output = run(arguments);
    let (was, text) = said(&output);
    assert_eq!(was, status, "{arguments:?}: {text}");
    assert!(text.contains(told), "{arguments:?}: {text}");
}

#[test]
fn what_cannot_be_spoken_is_said_clearly() {
    let file = File::new("never.wav");
    let out = ["-o", file.name()];
    check(&["Hello"], 2, "--out");
    check(&["-o", file.name()], 2, "TEXT");
    check(&[&["  "], &out[..]].concat(), 2, "no text");
    check(&[&["Hello", "--voice", "nobody"], &out[..]].concat(), 2, "no voice \"nobody\"");
    check(&[&["Hello", "--language", "tlh"], &out[..]].concat(), 2, "no voice speaks \"tlh\"");
    check(&[&["Hello", "--rate", "quickly"], &out[..]].concat(), 2, "--rate quickly");
    check(&[&["<speak><p></speak>", "--ssml"], &out[..]].concat(), 1, "line 1");
    check(
        &[&["<speak><audio src='file:///etc/passwd'/></speak>", "--ssml"], &out[..]].concat(),
        1,
        "not below a folder",
    );
    check(&["Hello", "-o", "/nonexistent/x.wav"], 1, "/nonexistent/x.wav");
    check(&[&["Hello", "--set", "text_to_speech.helper=1"], &out[..]].concat(), 2, "helper");
    assert!(!file.0.exists());
    let output = Command::new(env!("CARGO_BIN_EXE_entracte"))
        .args(["speak", "--list-voices", "--json", "--set", "text_to_speech.built_in=espeak"])
        .args(["--set", "text_to_speech.helper_path=/nonexistent/helper"])
        .output()
        .unwrap();
    let (status, told) = said(&output);
    assert_eq!(status, 1);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert!(told["error"].as_str().unwrap().contains("/nonexistent/helper"));
}
