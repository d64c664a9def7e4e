use super::*;

fn plan() -> CapturePlan {
    CapturePlan {
        max_active: 2,
        every_call: false,
        file_bytes_max: 1 << 20,
        keep_bytes_max: 1 << 20,
    }
}

const PEER: &str = "127.0.0.1:5060";
const US: &str = "127.0.0.2:6060";

fn addresses() -> (SocketAddr, SocketAddr) {
    (PEER.parse().unwrap(), US.parse().unwrap())
}

fn of(call_id: &str) -> Order {
    let of = Of::Call { call_id: call_id.into(), channels: vec!["aa@speechsynth".into()] };
    Order { of, media: true, ends: Duration::from_secs(60) }
}

/// Ends it, waits until its file is whole, and reads it.
fn read(captures: &Captures, name: &str) -> String {
    captures.stop(name);
    let until = instant() + Duration::from_secs(10);
    while captures.running() > 0 && instant() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    String::from_utf8_lossy(&fs::read(captures.file(name).unwrap()).unwrap()).into_owned()
}

#[test]
fn a_capture_of_a_call_has_what_names_it_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let captures = Captures::start(folder.path().join("captures"), plan()).unwrap();
    assert!(!captures.is_listening());
    let name = captures.begin(of("one@here")).unwrap();
    let (peer, us) = addresses();
    captures.signal(Carrier::Udp, peer, us, b"INVITE sip:a SIP/2.0\r\nCall-ID: one@here\r\n\r\n");
    captures.signal(Carrier::Udp, peer, us, b"INVITE sip:b SIP/2.0\r\nCall-ID: other\r\n\r\n");
    let answer = b"SIP/2.0 200 OK\r\nCall-ID: one@here\r\n\r\na=channel:bb@speechsynth\r\n";
    captures.signal(Carrier::Udp, us, peer, answer);
    // A stream brings a message in two parts, then one of another call.
    for part in [
        "MRCP/2.0 99 SPEAK 1\r\nChannel-Identifier:bb@speechsynth\r\n\r\nfirst",
        "second",
        "MRCP/2.0 99 SPEAK 1\r\nChannel-Identifier:cc@speechsynth\r\n\r\nthird",
        "fourth",
        "MRCP/2.0 99 STOP 2\r\nChannel-Identifier:aa@speechsynth\r\n\r\nfifth",
    ] {
        captures.signal(Carrier::Tcp, peer, us, part.as_bytes());
    }
    let text = read(&captures, &name);
    for wanted in ["sip:a", "200 OK", "first", "second", "fifth"] {
        assert!(text.contains(wanted), "{wanted} is missing");
    }
    for other in ["sip:b", "third", "fourth"] {
        assert!(!text.contains(other), "{other} is of another call");
    }
    assert!(!captures.is_listening());
}

#[test]
fn limits_are_told_and_files_are_only_those_of_captures() {
    let folder = tempfile::tempdir().unwrap();
    let captures = Captures::start(folder.path().join("captures"), plan()).unwrap();
    let names = [captures.begin(of("a")).unwrap(), captures.begin(of("b")).unwrap()];
    assert_eq!(captures.begin(of("c")).unwrap_err(), Refused::Full(2));
    fs::write(folder.path().join("secret.pcap"), "x").unwrap();
    for name in ["../secret.pcap", "secret.pcap", "", ".pcap", "/etc/passwd"] {
        assert_eq!(captures.file(name), None, "{name}");
        assert!(captures.remove(name).is_err(), "{name}");
    }
    assert!(captures.remove(&names[0]).is_err(), "it runs");
    read(&captures, &names[0]);
    read(&captures, &names[1]);
    captures.remove(&names[0]).unwrap();
    let listed: Vec<_> = captures.list().into_iter().map(|one| (one.name, one.running)).collect();
    assert_eq!(listed, [(names[1].clone(), false)]);
}

#[test]
fn a_file_that_is_long_enough_ends_and_the_oldest_go() {
    let folder = tempfile::tempdir().unwrap();
    let plan = CapturePlan { file_bytes_max: 2_000, keep_bytes_max: 5_000, ..plan() };
    let captures = Captures::start(folder.path().join("captures"), plan).unwrap();
    let (peer, us) = addresses();
    for _ in 0..4 {
        let order = Order { of: Of::All, media: false, ends: Duration::from_secs(60) };
        captures.begin(order).unwrap();
        captures.signal(Carrier::Udp, peer, us, &[b'x'; 2_500]);
        let until = instant() + Duration::from_secs(10);
        while captures.running() > 0 && instant() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(captures.running(), 0, "file_bytes_max ends it");
    }
    let kept: Vec<u64> = captures.list().into_iter().map(|one| one.bytes).collect();
    assert_eq!(kept.len(), 1, "two of {kept:?} would be more than keep_bytes_max");
}

#[test]
fn with_every_call_an_invite_begins_a_capture_and_the_end_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let captures = Captures::start(folder.path().join("captures"), plan()).unwrap();
    captures.set(CapturePlan { every_call: true, ..plan() });
    let (peer, us) = addresses();
    let invite = b"INVITE sip:a SIP/2.0\r\ni: mine\r\n\r\n";
    captures.signal(Carrier::Udp, peer, us, invite);
    captures.signal(
        Carrier::Udp,
        peer,
        us,
        b"INVITE sip:b SIP/2.0\r\nCall-ID: never a call\r\n\r\n",
    );
    assert!(captures.wants_media("mine"));
    captures.arrived(&"mine".into());
    let until = instant() + Duration::from_secs(10);
    while captures.running() == 0 && instant() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    captures.set(plan());
    captures.over("mine");
    while captures.running() > 0 && instant() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    let listed = captures.list();
    assert_eq!((listed.len(), listed[0].running), (1, false));
    let file = fs::read(captures.file(&listed[0].name).unwrap()).unwrap();
    let text = String::from_utf8_lossy(&file);
    assert!(text.contains("i: mine") && !text.contains("never a call"), "{text}");
}

#[test]
fn a_call_id_that_stands_in_every_message_takes_no_other_calls_along() {
    let folder = tempfile::tempdir().unwrap();
    let captures = Captures::start(folder.path().join("captures"), plan()).unwrap();
    let name = captures.begin(of("SIP/2.0")).unwrap();
    let (peer, us) = addresses();
    captures.signal(Carrier::Udp, peer, us, b"OPTIONS sip:a SIP/2.0\r\nCall-ID: other\r\n\r\n");
    let own = b"SIP/2.0 200 OK\r\nCALL-ID : SIP/2.0\r\n\r\na=channel:\r\n";
    captures.signal(Carrier::Udp, us, peer, own);
    let empty = b"MRCP/2.0 9 STOP 1\r\nChannel-Identifier:\r\n\r\n";
    captures.signal(Carrier::Tcp, peer, us, empty);
    let text = read(&captures, &name);
    assert!(
        text.contains("CALL-ID") && !text.contains("other") && !text.contains("STOP"),
        "{text}"
    );
}

#[test]
fn the_end_of_the_server_leaves_whole_files() {
    let folder = tempfile::tempdir().unwrap();
    let captures = Captures::start(folder.path().join("captures"), plan()).unwrap();
    let order = Order { of: Of::All, media: false, ends: Duration::from_secs(60) };
    let name = captures.begin(order).unwrap();
    let (peer, us) = addresses();
    for _ in 0..100 {
        captures.signal(Carrier::Udp, peer, us, &[b'x'; 100]);
    }
    captures.end();
    let bytes = fs::metadata(captures.file(&name).unwrap()).unwrap().len();
    assert_eq!(bytes, 24 + 100 * (16 + 20 + 8 + 100));
    let order = Order { of: Of::All, media: false, ends: Duration::from_secs(60) };
    assert_eq!(captures.begin(order).unwrap_err(), Refused::Busy, "nobody writes any more");
    assert_eq!((captures.running(), captures.list().len()), (0, 1));
}
