//! The server itself is killed: nothing that it started may stay.

use std::process::Command;
use std::time::Duration;

use conformance::{Folder, Subject};
use rustix::process::Signal;

/// The processes below this one that run, with what they are.
fn below(parent: i32) -> Vec<(i32, String)> {
    let mut found = Vec::new();
    let mut parents = vec![parent];
    while let Some(parent) = parents.pop() {
        let tasks = std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten();
        for task in tasks.flatten() {
            let children = std::fs::read_to_string(task.path().join("children"));
            for child in children.unwrap_or_default().split_whitespace() {
                let child: i32 = child.parse().unwrap();
                let name = std::fs::read_to_string(format!("/proc/{child}/comm"));
                found.push((child, name.unwrap_or_default().trim().to_owned()));
                parents.push(child);
            }
        }
    }
    found
}

/// Whether a process with this number is what it was, and no corpse.
fn lives((pid, name): &(i32, String)) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').next().map(str::to_owned));
    stat.contains(&format!("({name})")) && state.as_deref() != Some("Z")
}

#[test]
fn a_killed_server_leaves_no_process_behind() {
    let folder = Folder::create();
    let path = folder.path().join("long.wma");
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "sine=frequency=500:duration=600"])
        .args(["-c:a", "wmav2"])
        .arg(&path)
        .status()
        .unwrap();
    assert!(made.success());
    let settings =
        format!("[[external_audio.sources]]\nname = \"Long\"\nuri = \"file:{}\"\n", path.display());
    let subject = Subject::own(&settings);
    let server = subject.pid().unwrap().as_raw_nonzero().get();
    let end = entracte::clock::instant() + Duration::from_secs(10);
    let started = loop {
        let started = below(server);
        let runs = |wanted: &str| started.iter().any(|(_, name)| name.starts_with(wanted));
        if runs("ffmpeg") && runs("speech-espeak") && runs("speech-flite") {
            break started;
        }
        assert!(entracte::clock::instant() < end, "{started:?}");
        std::thread::sleep(Duration::from_millis(20));
    };
    subject.signal(Signal::KILL);
    let end = entracte::clock::instant() + Duration::from_secs(10);
    while let Some(left) = started.iter().find(|process| lives(process)) {
        assert!(entracte::clock::instant() < end, "{left:?} is left");
        std::thread::sleep(Duration::from_millis(20));
    }
}
