//! Messages in calls obey CONTROL as files do, and those that have only a text are spoken.

#![expect(clippy::indexing_slicing, reason = "whatever an answer lacks shall fail the test")]

use std::f64::consts::TAU;
use std::path::PathBuf;

use conformance::{Folder, Subject};
use entracte::client::ear::timeline;
use entracte::demo::hearing::pitch_hz;
use mrcp::{Headers, Method};

use crate::mail_in_calls::{Caller, HEARD, caller, ids, mail};
use crate::mail_programs::{USER, deliver, letter, with_speech};
use crate::mail_servers::Dovecot;

/// Four seconds of 400 Hz, and four of 1000 Hz.
fn two_tones() -> Vec<u8> {
    let sample = |n: u32| {
        let hz = if n < 32_000 { 400 } else { 1_000 };
        (f64::from(n * hz) / 8_000.0 * TAU).sin() * 8_000.0
    };
    #[expect(clippy::cast_possible_truncation, reason = "within the range of i16")]
    let samples: Vec<i16> = (0..64_000).map(|n| sample(n) as i16).collect();
    mail(
        "Content-Type: audio/x-wav\r\n",
        &audio::wav::to_bytes(audio::wav::Format::TELEPHONE, &samples),
    )
}

/// A server with a message of two tones, which plays the same from a Dovecot too: both URIs.
struct Bed {
    subject: Subject,
    dovecot: Dovecot,
    _secrets: Folder,
    uris: [String; 2],
}

impl Bed {
    fn new() -> Self {
        let dovecot = Dovecot::start();
        let secrets = Folder::create();
        let secret: PathBuf = secrets.write("password", "a service's own\n");
        let subject = with_speech(&format!(
            "{HEARD}[[mail.servers]]\nname = \"office\"\nhost = \"127.0.0.1\"\nport = {}\nsecurity = \"none\"\n\
             user = \"mediaserver\"\nauthorization_id = \"*\"\npassword_file = {secret:?}\n",
            dovecot.imap,
        ));
        deliver(&subject, USER, &two_tones());
        dovecot.append(&two_tones());
        let (id, _) = ids(&subject, "inbox").remove(0);
        let uris = [
            format!("fbmc:{USER}/{id}"),
            format!("imap://anna@127.0.0.1:{}/INBOX/;UID=1", dovecot.imap),
        ];
        Self { subject, dovecot, _secrets: secrets, uris }
    }
}

/// Speaks, says this once a little was heard, and waits for the end: what was heard.
async fn controlled(caller: &mut Caller, uri: &str, (name, value): (&str, &str)) -> Vec<i16> {
    let before = caller.call.ear.count();
    let mut headers = Headers::new();
    headers.push("Content-Type", "text/uri-list");
    caller.begin(headers, format!("{uri}\r\n").into()).await;
    let mut control = Headers::new();
    control.push(name, value);
    let told = caller.call.ask(Method::Control, control, Vec::new()).await;
    assert_eq!(told.status.code(), 200, "{name}: {value}");
    let cause = caller.ended().await;
    assert_eq!(cause, "000 normal", "{uri} {name}: {value}");
    timeline(&caller.call.ear.heard()[before..])
}

fn ms(heard: &[i16]) -> usize {
    let sounds = |some: &&[i16]| some.iter().any(|sample| sample.unsigned_abs() > 200);
    10 * heard.chunks(80).filter(sounds).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn jumps_and_rate_are_obeyed_in_messages() {
    let bed = Bed::new();
    let obeyed = async |uri: &str| {
        let mut caller = caller(&bed.subject).await;
        // What was heard before, and nearly the second tone: four seconds are left out.
        let heard = controlled(&mut caller, uri, ("Jump-Size", "+4 Second")).await;
        assert!((3_500..4_400).contains(&ms(&heard)), "{uri}: {} ms", ms(&heard));
        let last = &heard[heard.len() - 8_000..heard.len() - 2_000];
        assert!((pitch_hz(last) - 1_000.0).abs() < 20.0, "{uri}: {} Hz", pitch_hz(last));
        let heard = controlled(&mut caller, uri, ("Prosody-Rate", "2")).await;
        assert!((3_500..4_600).contains(&ms(&heard)), "{uri}: {} ms at twice the rate", ms(&heard));
        // Faster, and not higher.
        let last = &heard[heard.len() - 8_000..heard.len() - 2_000];
        assert!((pitch_hz(last) - 1_000.0).abs() < 20.0, "{uri}: {} Hz", pitch_hz(last));
        let heard = controlled(&mut caller, uri, ("Jump-Size", "-2 Second")).await;
        assert!((7_300..8_700).contains(&ms(&heard)), "{uri}: {} ms after a jump back", ms(&heard));
    };
    tokio::join!(obeyed(&bed.uris[0]), obeyed(&bed.uris[1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_has_only_a_text_is_spoken() {
    let bed = Bed::new();
    let text = b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
                 Content-Transfer-Encoding: quoted-printable\r\n\r\n\
                 Good morning. The m=C3=BCller is here, and this is all that there is to be said.\r\n";
    deliver(&bed.subject, USER, text);
    bed.dovecot.append(text);
    let (spoken, _) = ids(&bed.subject, "inbox").remove(0);
    let stored = format!("fbmc:{USER}/{spoken}");
    let remote = bed.uris[1].replace("UID=1", "UID=2");
    let mut caller = caller(&bed.subject).await;
    let mut lengths = Vec::new();
    for uri in [stored, remote] {
        let ended = caller.speak(&uri, None).await;
        assert_eq!(ended.cause, "000 normal", "{uri}: {} {}", ended.reason, ended.uri_cause);
        lengths.push(ended.sounding_ms());
    }
    // A sentence of some seconds, and the same in both places.
    assert!(lengths.iter().all(|ms| (1_500..9_000).contains(ms)), "{lengths:?}");
    assert!(lengths[0].abs_diff(lengths[1]) < 200, "{lengths:?}");
    // Where there is audio, that is heard, not the text beside it.
    deliver(&bed.subject, USER, &letter("both"));
    let (both, _) = ids(&bed.subject, "inbox").remove(0);
    let ended = caller.speak(&format!("fbmc:{USER}/{both}"), None).await;
    crate::mail_in_calls::sounds_like_the_tone(&ended);
}
