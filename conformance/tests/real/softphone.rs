//! baresip dials the server as a person with a softphone would, and records what it hears.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use conformance::rig::{Rig, SOURCE, hasty};
use conformance::{Folder, programs};
use entracte::serve::HOLD_MUSIC;

/// Samples a second.
const RATE_HZ: usize = 8_000;

/// A softphone without sound hardware: its microphone and its loudspeaker are joined, and what it
/// decodes goes to a file.
fn settings(recordings: &Path) -> String {
    format!(
        "poll_method epoll\nsip_listen 127.0.0.1:0\naudio_player aubridge,phone\n\
         audio_source aubridge,phone\naudio_alert aubridge,bell\n\
         module_path {}\nmodule g711.so\nmodule aubridge.so\nmodule sndfile.so\n\
         module_app account.so\nmodule_app menu.so\nsnd_path {}\n",
        modules().display(),
        recordings.display()
    )
}

/// Where the distribution puts the modules.
fn modules() -> &'static Path {
    let places = ["/usr/lib/baresip/modules", "/usr/local/lib/baresip/modules"];
    places.map(Path::new).into_iter().find(|place| place.is_dir()).expect("baresip's modules")
}

#[tokio::test(flavor = "multi_thread")]
async fn baresip_hears_the_source_that_it_dials() {
    let rig = Rig::with("", &hasty()).await;
    let folder = Folder::create();
    folder.write("config", settings(folder.path()));
    folder.write("accounts", "<sip:phone@127.0.0.1>;regint=0\n");
    folder.write("contacts", "");
    let mut phone = Command::new("baresip");
    phone.arg("-f").arg(folder.path());
    phone.args(["-t", "4", "-e", &format!("d sip:{SOURCE}@{}", rig.udp)]);
    let patience = Duration::from_secs(15);
    let left =
        tokio::task::spawn_blocking(move || programs::run(&mut phone, patience)).await.unwrap();
    assert!(left.out.contains("Call established"), "{}\n{}", left.out, left.err);
    let files = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let heard = files.filter(|path| path.to_string_lossy().ends_with("-dec.wav")).last().unwrap();
    let heard = std::fs::read(heard).unwrap();
    let heard = audio::wav::read(&heard).unwrap();
    assert_eq!((heard.format.rate_hz, heard.format.channels), (8_000, 1));
    let heard = heard.samples();
    assert!(heard.len() > 3 * RATE_HZ, "{} samples", heard.len());
    // The music loops; what is looked for may lie across its seam.
    let music = audio::wav::read(HOLD_MUSIC).unwrap().samples();
    let music = [music.as_slice(), music.as_slice()].concat();
    let second = heard.get(RATE_HZ..2 * RATE_HZ).unwrap();
    let lags = music.len() - second.len();
    let alike = audio::measure::find(second, &music, lags).unwrap();
    println!("heard {} samples; alike {alike:?}", heard.len());
    assert!(alike.correlation > 0.95, "{alike:?}");
    rig.leaves_nothing_within(Duration::from_secs(10)).await;
}
