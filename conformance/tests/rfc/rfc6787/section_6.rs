//! RFC 6787 §6: SET-PARAMS, GET-PARAMS and the headers that every resource knows.

use crate::call::Call;
use crate::subject::Subject;

#[test]
fn section_6_1_what_is_set_is_got_until_the_session_ends() {
    let subject = Subject::any();
    let mut call = Call::place(&subject);
    let set = [
        "Voice-Gender: female",
        "Voice-Variant: 3",
        "Prosody-Volume: loud",
        "Speech-Language: de-DE",
        "Kill-On-Barge-In: false",
        "Logging-Tag: call 17",
        "Fetch-Timeout: 5000",
        "Vendor-Specific-Parameters: com.example.depth=\"3\";com.example.mood=calm",
    ];
    assert_eq!(call.ask("SET-PARAMS", &set, b"").what(), "200 COMPLETE");
    let ask = [
        "Voice-Gender:",
        "Voice-Variant:",
        "Prosody-Volume:",
        "Speech-Language:",
        "Kill-On-Barge-In:",
        "Logging-Tag:",
        "Fetch-Timeout:",
        "Vendor-Specific-Parameters: com.example.depth",
    ];
    let got = call.ask("GET-PARAMS", &ask, b"");
    assert_eq!(got.what(), "200 COMPLETE");
    for (name, value) in [
        ("Voice-Gender", "female"),
        ("Voice-Variant", "3"),
        ("Prosody-Volume", "loud"),
        ("Speech-Language", "de-DE"),
        ("Kill-On-Barge-In", "false"),
        ("Logging-Tag", "call 17"),
        ("Fetch-Timeout", "5000"),
    ] {
        assert_eq!(got.get(name), value, "{name}");
    }
    let vendor = got.get("Vendor-Specific-Parameters");
    assert!(vendor.contains("com.example.depth") && !vendor.contains("mood"), "{vendor}");
    // Another session has its own.
    let mut other = Call::place(&subject);
    assert_ne!(other.ask("GET-PARAMS", &["Voice-Gender:"], b"").get("Voice-Gender"), "female");
}

#[test]
fn section_6_1_a_bad_value_is_sent_back_and_changes_nothing() {
    let subject = Subject::any();
    let mut call = Call::place(&subject);
    for bad in ["Voice-Gender: purple", "Fetch-Timeout: soon", "Kill-On-Barge-In: perhaps"] {
        let (name, value) = bad.split_once(": ").unwrap();
        let told = call.ask("SET-PARAMS", &["Voice-Age: 30", bad], b"");
        assert_eq!(
            (told.what().as_str(), told.get(name)),
            ("404 COMPLETE", value),
            "{}",
            told.head
        );
    }
    assert_ne!(call.ask("GET-PARAMS", &["Voice-Age:"], b"").get("Voice-Age"), "30");
}

#[test]
fn section_6_1_a_header_that_cannot_be_set_is_refused_403() {
    let subject = Subject::any();
    let mut call = Call::place(&subject);
    let told = call.ask("SET-PARAMS", &["Jump-Size: +1 Second"], b"");
    assert!(told.what().starts_with("403") || told.what().starts_with("404"), "{}", told.head);
}
