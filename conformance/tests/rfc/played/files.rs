//! `file:` URIs: every format, and nothing outside the roots.

use crate::call::Call;
use crate::played::bed::{Folder, share, ssml};
use crate::subject::Subject;

#[test]
fn every_file_format_is_heard_as_it_is() {
    let folder = Folder::new();
    let formats: &[(&str, &[&str])] = &[
        ("pcm8.wav", &["-c:a", "pcm_u8", "-ar", "11025"]),
        ("pcm16.wav", &["-c:a", "pcm_s16le", "-ac", "2"]),
        ("pcm24.wav", &["-c:a", "pcm_s24le", "-ar", "48000"]),
        ("float.wav", &["-c:a", "pcm_f32le"]),
        ("mu.wav", &["-c:a", "pcm_mulaw", "-ar", "8000"]),
        ("a.wav", &["-c:a", "pcm_alaw", "-ar", "8000"]),
        ("gsm.wav", &["-c:a", "libgsm_ms", "-ar", "8000"]),
        ("x.mp3", &["-ar", "44100"]),
        ("vorbis.ogg", &["-c:a", "libvorbis"]),
        ("opus.ogg", &["-c:a", "libopus", "-ar", "48000"]),
        ("x.flac", &["-ac", "2"]),
        ("x.aac", &[]),
        ("x.m4a", &["-c:a", "aac"]),
        ("x.aiff", &[]),
        ("mu.au", &["-c:a", "pcm_mulaw", "-ar", "8000"]),
    ];
    let subject = folder.subject(&[]);
    let mut call = Call::place(&subject);
    let mut wrong = Vec::new();
    for (name, arguments) in formats {
        let path = folder.tone(name, 700, 0.4, arguments);
        call.ear.forget();
        let done = call.spoken("text/uri-list", &format!("file://{}\r\n", path.display()));
        let sound = call.ear.audio();
        let (from, to) = (800.min(sound.len()), 2_700.min(sound.len()));
        let heard = share(&sound[from..to], 700.0);
        let fits = (2_900..4_000).contains(&sound.len()) && heard > 0.9;
        if done.get("Completion-Cause") != "000 normal" || !fits {
            let length = sound.len();
            wrong.push(format!(
                "{name}: {length} samples, {heard:.2} of it the tone; {}",
                done.head
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    call.dialog.bye();
    subject.settles();
}

/// Speaks one URI that fails; its cause is 003, and both URI and reason are told.
#[track_caller]
fn fails(call: &mut Call, uri: &str, cause: &str, reason: &str) {
    for (media_type, body) in [
        ("text/uri-list", format!("{uri}\r\n")),
        ("application/ssml+xml", ssml(&format!("<audio src=\"{}\"/>", uri.replace('&', "&amp;")))),
    ] {
        let done = call.spoken(media_type, &body);
        assert_eq!(done.get("Completion-Cause"), "003 uri-failure", "{uri}: {}", done.head);
        assert_eq!(done.get("Failed-URI"), uri, "{}", done.head);
        assert_eq!(done.get("Failed-URI-Cause"), cause, "{}", done.head);
        assert!(done.get("Completion-Reason").contains(reason), "{uri}: {}", done.head);
        assert!(done.get("Completion-Reason").contains(uri), "{uri}: {}", done.head);
    }
}

#[test]
fn a_clip_of_which_nothing_is_heard_does_not_repeat_for_ever() {
    let folder = Folder::new();
    let path = folder.tone("short.wav", 700, 0.3, &[]);
    let uri = format!("file://{}", path.display());
    let subject = folder.subject(&[]);
    let mut call = Call::place(&subject);
    for attributes in
        ["clipBegin=\"3600s\" repeatDur=\"10s\"", "clipBegin=\"3600s\" repeatCount=\"99999999\""]
    {
        let body = ssml(&format!("<audio src=\"{uri}\" {attributes}/>"));
        let done = call.spoken("application/ssml+xml", &body);
        assert_eq!(done.get("Completion-Cause"), "000 normal", "{}", done.head);
    }
    // And one that is heard repeats for as long as it should.
    call.ear.forget();
    let body = ssml(&format!("<audio src=\"{uri}\" repeatDur=\"1s\"/>"));
    let done = call.spoken("application/ssml+xml", &body);
    assert_eq!(done.get("Completion-Cause"), "000 normal", "{}", done.head);
    assert!((7_900..8_200).contains(&call.ear.audio().len()), "{}", call.ear.audio().len());
    call.dialog.bye();
    subject.settles();
}

#[test]
fn nothing_outside_the_roots_is_played() {
    let (folder, outside) = (Folder::new(), Folder::new());
    let secret = outside.tone("secret.wav", 700, 0.3, &[]);
    let link = folder.path().join("link.wav");
    std::os::unix::fs::symlink(&secret, &link).unwrap();
    std::os::unix::fs::symlink(outside.path(), folder.path().join("way")).unwrap();
    folder.put("text.wav", b"this is no audio at all, whatever its name says");
    folder.put("sub/x", b"x");
    let subject = folder.subject(&[]);
    let mut call = Call::place(&subject);
    let root = folder.path().display();
    let name = outside.path().file_name().unwrap().to_str().unwrap();
    let not_allowed = "not below a folder";
    fails(&mut call, &format!("file://{}", secret.display()), "not-allowed", not_allowed);
    fails(&mut call, &format!("file://{}", link.display()), "not-allowed", not_allowed);
    fails(&mut call, &format!("file://{root}/way/secret.wav"), "not-allowed", not_allowed);
    for up in ["..", "%2e%2e", ".%2E"] {
        let uri = format!("file://{root}/{up}/{name}/secret.wav");
        let done = call.spoken("text/uri-list", &format!("{uri}\r\n"));
        assert_eq!(done.get("Completion-Cause"), "003 uri-failure", "{}", done.head);
        assert_eq!(done.get("Failed-URI"), uri);
    }
    fails(&mut call, &format!("file://{root}/nothing.wav"), "not-found", "no such file");
    fails(&mut call, &format!("file://{root}/text.wav"), "not-audio", "decoded");
    fails(&mut call, &format!("file://{root}/sub"), "unreadable", "not a file");
    fails(&mut call, "file:///dev/zero", "not-allowed", not_allowed);
    fails(&mut call, "source:Nobody", "not-found", "no source is called");
    fails(&mut call, "gopher://example.com/x", "unknown-scheme", "gopher");
    // After all of that the channel plays on.
    let done = call.spoken("text/uri-list", "tone:400;ms=100\r\n");
    assert_eq!(done.get("Completion-Cause"), "000 normal");
    call.dialog.bye();
    subject.settles();
}

#[test]
fn a_list_is_played_in_order_and_what_came_before_a_failure_is_heard() {
    let folder = Folder::new();
    let low = folder.tone("low.wav", 500, 0.3, &[]);
    let high = folder.tone("high.wav", 1_500, 0.3, &[]);
    let subject = folder.subject(&[]);
    let mut call = Call::place(&subject);
    let list = format!("# two\r\nfile://{}\r\n\r\nfile://{}\r\n", low.display(), high.display());
    let done = call.spoken("text/uri-list", &list);
    assert_eq!(done.get("Completion-Cause"), "000 normal", "{}", done.head);
    let sound = call.ear.audio();
    assert!((4_800..=4_960).contains(&sound.len()), "{} samples: no gap between", sound.len());
    assert!(share(&sound[200..2_200], 500.0) > 0.9 && share(&sound[2_600..4_600], 1_500.0) > 0.9);
    call.ear.forget();
    let list = format!("file://{}\r\nfile://{}.not\r\n", low.display(), high.display());
    let done = call.spoken("text/uri-list", &list);
    assert_eq!(done.get("Completion-Cause"), "003 uri-failure");
    assert!(done.get("Failed-URI").ends_with(".not"));
    assert!(share(&call.ear.audio()[200..2_200], 500.0) > 0.9);
    // What waits behind a failure in a queue is spoken or given up, and always told. §8.4.4.
    call.send("SPEAK", &["Content-Type: text/uri-list"], b"file:///nothing.wav\r\n");
    let second = call.send("SPEAK", &["Content-Type: text/uri-list"], b"tone:400;ms=100\r\n");
    loop {
        let told = call.mrcp.next();
        if told.id() == second && told.what().ends_with(" COMPLETE") {
            break;
        }
    }
    call.dialog.bye();
}

#[test]
fn fallback_content_is_heard_instead() {
    let subject = Subject::any();
    let mut call = Call::place(&subject);
    let document = ssml(
        "<audio src=\"file:///nothing.wav\"><desc>a bell</desc><audio src=\"source:Nobody\">\
         <audio src=\"tone:1000;ms=300;db=-10\"/></audio></audio>",
    );
    let done = call.spoken("application/ssml+xml", &document);
    assert_eq!(done.get("Completion-Cause"), "000 normal", "{}", done.head);
    assert_eq!(call.ear.wait_for(15).len(), 15);
    let clipped = ssml(
        "<audio src=\"tone:1000;ms=900\" clipBegin=\"0.2s\" clipEnd=\"0.4s\" repeatCount=\"2\"/>",
    );
    call.ear.forget();
    let done = call.spoken("application/ssml+xml", &clipped);
    assert_eq!(done.get("Completion-Cause"), "000 normal", "{}", done.head);
    assert_eq!(call.ear.wait_for(20).len(), 20, "200 ms, twice");
    call.dialog.bye();
}

#[test]
fn parts_of_one_body_are_played_in_order_and_may_hold_the_audio_itself() {
    let folder = Folder::new();
    let clip = std::fs::read(folder.tone("x.au", 700, 0.2, &["-c:a", "pcm_mulaw", "-ar", "8000"]));
    let subject = Subject::any();
    let mut call = Call::place(&subject);
    let mut body = format!(
        "--cut\r\nContent-Type: text/uri-list\r\n\r\ntone:400;ms=200;db=-10\r\n\r\n--cut\r\n\
         Content-Type: application/ssml+xml\r\n\r\n{}\r\n--cut\r\nContent-Type: audio/basic\r\n\
         Content-ID: <clip@test>\r\n\r\n",
        ssml("<audio src=\"cid:clip@test\"/><break time=\"100ms\"/>"),
    )
    .into_bytes();
    body.extend(clip.unwrap());
    body.extend(b"\r\n--cut--\r\n");
    let told = call.ask("SPEAK", &["Content-Type: multipart/mixed; boundary=cut"], &body);
    assert_eq!(told.what(), "200 IN-PROGRESS", "{}", told.head);
    let done = call.event();
    assert_eq!(done.get("Completion-Cause"), "000 normal", "{}", done.head);
    let sound = call.ear.audio();
    assert!(share(&sound[200..1_500], 400.0) > 0.9, "{} samples", sound.len());
    assert!(share(&sound[1_700..3_100], 700.0) > 0.9);
    assert_eq!(call.ear.wait_for(25).len(), 25);
}
