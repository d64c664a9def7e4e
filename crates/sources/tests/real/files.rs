//! Sources from the disk.

use std::time::Duration;

use audio::{Gain, tone::Tone, wav};
use sources::{Heard, Phase, Trouble};

use crate::bed::{
    CLICK_DBFS, FALLBACK_HZ, Folder, SOURCE_HZ, Stage, mp3, roughest, settings, share, sine,
};

const SOON: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_looped_without_a_gap() {
    let folder = Folder::new();
    // Whole turns of the sine, so that its end meets its beginning.
    let mut turns = vec![0; 4_000];
    Tone::sine(SOURCE_HZ, -10.0).fill(&mut turns);
    let path = folder.put("a.wav", &wav::to_bytes(wav::Format::TELEPHONE, &turns));
    let mut stage = Stage::start(&format!("file://{}", path.display()));
    let waited = stage.ear.until(SOURCE_HZ, SOON);
    assert!(waited < Duration::from_secs(1), "{waited:?}");
    let heard = stage.ear.listen(Duration::from_millis(1_500));
    assert!(share(&heard, SOURCE_HZ) > 0.99);
    let rough = roughest(stage.ear.everything());
    assert!(rough < CLICK_DBFS, "{rough} dBFS");
    let state = stage.state();
    assert_eq!((state.reconnects, state.underruns, stage.ear.missed()), (0, 0, 0));
    assert_eq!(state.title.as_deref(), Some("a"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_plays_in_the_order_of_names_passes_over_what_is_broken_and_sees_what_is_new() {
    let folder = Folder::new();
    let wav = |hz| sine(hz, 0.6, &["-ar", "16000", "-f", "wav"]);
    folder.put("1 first.wav", &wav(500.0));
    folder.put("2 broken.mp3", &[0x55; 4_000]);
    folder.put("3 second.mp3", &mp3(SOURCE_HZ, 0.6));
    folder.put("cover.jpg", b"no sound");
    folder.put(".hidden.wav", b"no sound");
    let mut stage = Stage::start(&format!("{}", folder.path().display()));
    stage.ear.until(500.0, SOON);
    stage.ear.until(SOURCE_HZ, SOON);
    let skipped = stage.until(SOON, |state| !state.skipped.is_empty()).skipped;
    assert_eq!(skipped.iter().map(|s| s.file.as_str()).collect::<Vec<_>>(), ["2 broken.mp3"]);
    folder.put("2 broken.mp3", &mp3(1_500.0, 0.6));
    stage.ear.until(1_500.0, SOON);
    let state = stage.state();
    assert!(state.skipped.is_empty(), "{state:?}");
    assert_eq!(state.reconnects, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_not_there_is_away_until_it_comes() {
    let folder = Folder::new();
    let path = folder.path().join("later.wav");
    let mut stage = Stage::start(&path.display().to_string());
    stage.until(SOON, |state| matches!(state.phase, Phase::Away(Trouble::Unreadable(_))));
    stage.ear.until(FALLBACK_HZ, SOON);
    folder.put("later.wav", &sine(SOURCE_HZ, 1.0, &["-f", "wav"]));
    stage.ear.until(SOURCE_HZ, SOON);
    std::fs::remove_file(path).unwrap();
    stage.ear.until(FALLBACK_HZ, SOON);
    assert_eq!(stage.state().heard, Heard::Fallback);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_without_a_sound_says_so() {
    let folder = Folder::new();
    folder.put("x.mp3", b"nothing");
    let stage = Stage::start(&folder.path().display().to_string());
    let state = stage.until(SOON, |state| matches!(state.phase, Phase::Away(_)));
    assert_eq!(state.phase, Phase::Away(Trouble::NothingPlayable));
    assert_eq!(state.skipped.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gain_changes_the_source_and_not_the_fallback() {
    let folder = Folder::new();
    let mut turns = vec![0; 4_000];
    Tone::sine(SOURCE_HZ, -10.0).fill(&mut turns);
    let path = folder.put("a.wav", &wav::to_bytes(wav::Format::TELEPHONE, &turns));
    let stage = Stage::start_louder(&path.display().to_string(), settings(), Gain::from_db(-20.0));
    stage.until(SOON, |state| (state.level.peak_dbfs + 6.0).abs() < 0.2);
    stage.until(SOON, |state| (state.level.peak_dbfs + 30.0).abs() < 0.2);
    std::fs::remove_file(path).unwrap();
    stage.until(SOON, |state| (state.level.peak_dbfs + 6.0).abs() < 0.2);
}
