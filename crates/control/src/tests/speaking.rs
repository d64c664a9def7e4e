//! What SPEAK and its fellows do on a channel that is there. RFC 6787 §8.

use super::{SPEECH, check, check_on};
use crate::capabilities::Speech;
use crate::testbed::{Feeders, Stand};

const SPEAK: (&str, &str) =
    ("speechsynth SPEAK 1 = source:radio", "1 200 IN-PROGRESS | prepare play source:Radio | start");

#[test]
fn a_source_is_spoken_until_it_is_stopped() {
    check(&[
        SPEECH,
        SPEAK,
        ("speechsynth STOP 2", "halt | 2 200 COMPLETE of 1"),
        (
            "speechsynth SPEAK 3 = source:Lobby",
            "3 200 IN-PROGRESS | prepare play source:Lobby | start",
        ),
        ("bye", "ended LocalBye | halt | release"),
    ]);
}

#[test]
fn section_8_6_speaks_wait_in_line_and_a_failure_cancels_them() {
    check(&[
        SPEECH,
        SPEAK,
        ("speechsynth SPEAK 2 = file:///a.wav", "2 200 PENDING"),
        ("speechsynth SPEAK 3 = file:///b.wav", "3 200 PENDING"),
        ("speechsynth STOP 4 Active-Request-Id-List: 2", "4 200 COMPLETE of 2"),
        (
            "end",
            "SPEAK-COMPLETE 1 000 normal | prepare play file:///b.wav | start | SPEECH-MARKER 3",
        ),
        ("speechsynth SPEAK 5 = file:///c.wav", "5 200 PENDING"),
        ("fail file:///b.wav", ""),
        (
            "end",
            "SPEAK-COMPLETE 3 003 uri-failure \"404 Not Found: file:///b.wav\" file:///b.wav 404 | SPEAK-COMPLETE 5 007 cancelled",
        ),
    ]);
}

#[test]
fn section_8_9_a_paused_utterance_waits_and_the_next_begins_held() {
    check(&[
        SPEECH,
        SPEAK,
        ("speechsynth SPEAK 2 = file:///b.wav", "2 200 PENDING"),
        ("speechsynth PAUSE 3", "pause | 3 200 COMPLETE of 1"),
        ("speechsynth PAUSE 4", "4 200 COMPLETE of 1"),
        ("speechsynth RESUME 5", "resume | 5 200 COMPLETE of 1"),
        ("speechsynth RESUME 6", "6 200 COMPLETE"),
        ("speechsynth PAUSE 7", "pause | 7 200 COMPLETE of 1"),
        (
            "speechsynth STOP 8 Active-Request-Id-List: 1",
            "halt | 8 200 COMPLETE of 1 | prepare play file:///b.wav | start | pause",
        ),
        ("speechsynth RESUME 9", "resume | 9 200 COMPLETE of 2 | SPEECH-MARKER 2"),
        ("end", "SPEAK-COMPLETE 2 000 normal"),
        ("speechsynth PAUSE 10", "10 402 COMPLETE"),
        ("speechsynth RESUME 11", "11 402 COMPLETE"),
    ]);
}

#[test]
fn section_8_8_barge_in_ends_what_allows_it() {
    check(&[
        SPEECH,
        SPEAK,
        ("speechsynth SPEAK 2 = file:///b.wav", "2 200 PENDING"),
        ("speechsynth BARGE-IN-OCCURRED 3", "halt | 3 200 COMPLETE of 1,2"),
        (
            "speechsynth SPEAK 4 Kill-On-Barge-In: false = source:Radio",
            "4 200 IN-PROGRESS | prepare play source:Radio | start",
        ),
        ("speechsynth BARGE-IN-OCCURRED 5", "5 200 COMPLETE"),
        ("speechsynth STOP 6", "halt | 6 200 COMPLETE of 4"),
        ("speechsynth STOP 7", "7 200 COMPLETE"),
    ]);
}

#[test]
fn what_cannot_be_spoken_ends_with_its_cause() {
    check(&[
        SPEECH,
        (
            "speechsynth SPEAK 1 = source:Nowhere",
            "1 200 IN-PROGRESS | SPEAK-COMPLETE 1 003 uri-failure \"no source is called \\\"Nowhere\\\": source:Nowhere\" source:Nowhere not-found",
        ),
        (
            "speechsynth SPEAK 2 = <speak",
            "2 200 IN-PROGRESS | SPEAK-COMPLETE 2 002 parse-failure \"line 1: syntax error: tag not closed: `>` not found before end of input\"",
        ),
        (
            "speechsynth SPEAK 3 = gopher://x/",
            "3 200 IN-PROGRESS | SPEAK-COMPLETE 3 003 uri-failure \"the scheme \\\"gopher\\\" is not played here: gopher://x/\" gopher://x/ unknown-scheme",
        ),
        (
            "speechsynth SPEAK 4 = file:///a.wav\r\nsource:Nowhere",
            "4 200 IN-PROGRESS | SPEAK-COMPLETE 4 003 uri-failure \"no source is called \\\"Nowhere\\\": source:Nowhere\" source:Nowhere not-found",
        ),
        ("speechsynth SPEAK 5", "5 406 COMPLETE"),
        ("speechsynth SPEAK 6 = Hello there", "6 200 IN-PROGRESS | prepare say 2 words | start"),
        ("speechsynth SPEAK 7 = source:Nowhere", "7 200 PENDING"),
        (
            "end",
            "SPEAK-COMPLETE 6 000 normal | SPEECH-MARKER 7 | SPEAK-COMPLETE 7 003 uri-failure \"no source is called \\\"Nowhere\\\": source:Nowhere\" source:Nowhere not-found",
        ),
    ]);
}

#[test]
fn text_while_speech_is_off_is_004_with_the_reason() {
    let stand = |speech| Stand::with(|config| config.catalog.speech = speech);
    check_on(
        stand(Speech::Off),
        &[
            SPEECH,
            (
                "speechsynth SPEAK 1 = Hello",
                "1 200 IN-PROGRESS | SPEAK-COMPLETE 1 004 error \"text_to_speech.enabled is false\"",
            ),
            (
                "speechsynth SPEAK 2 = <speak version='1.0'><audio src='source:Radio'>Hello</audio></speak>",
                "2 200 IN-PROGRESS | prepare play source:Radio or 1 steps | start",
            ),
        ],
    );
    check_on(
        stand(Speech::Missing("no helper".into())),
        &[
            SPEECH,
            (
                "speechsynth SPEAK 1 = Hello",
                "1 200 IN-PROGRESS | SPEAK-COMPLETE 1 004 error \"no helper\"",
            ),
        ],
    );
}

#[test]
fn section_8_11_control_changes_what_is_heard() {
    check(&[
        SPEECH,
        (
            "speechsynth SPEAK 1 = file:///a.wav",
            "1 200 IN-PROGRESS | prepare play file:///a.wav | start",
        ),
        ("border 0 step 0 0", ""),
        ("wait 5000", ""),
        (
            "speechsynth CONTROL 2 Jump-Size: +10 Second",
            "halt | prepare play file:///a.wav from 0 + 120000 | start | 2 200 COMPLETE of 1",
        ),
        ("border 0 step 0 0", ""),
        ("wait 5000", ""),
        (
            "speechsynth CONTROL 3 Jump-Size: +10 Second",
            "halt | prepare play file:///a.wav from 0 + 240000 | start | 3 200 COMPLETE of 1",
        ),
        ("border 0 step 0 0", ""),
        (
            "speechsynth CONTROL 4 Jump-Size: -5 Second",
            "halt | prepare play file:///a.wav from 0 + 200000 | start | 4 200 COMPLETE of 1",
        ),
        (
            "speechsynth CONTROL 5 Jump-Size: -500 Second",
            "halt | prepare play file:///a.wav | start | 5 200 COMPLETE of 1 restart true",
        ),
        ("speechsynth CONTROL 6 Prosody-Volume: +6dB", "gain 6.0 | 6 200 COMPLETE of 1"),
        (
            "speechsynth CONTROL 7 Prosody-Rate: fast",
            "halt | prepare play file:///a.wav | start | 7 200 COMPLETE of 1",
        ),
        (
            "speechsynth CONTROL 8 Speak-Length: 3 Second",
            "halt | prepare play file:///a.wav for Samples(24000) | start | 8 200 COMPLETE of 1",
        ),
        ("wait 1000", ""),
        (
            "speechsynth CONTROL 9 Jump-Size: +1 Second",
            "halt | prepare play file:///a.wav from 0 + 16000 for Samples(16000) | start | 9 200 COMPLETE of 1",
        ),
        ("end", "SPEAK-COMPLETE 1 000 normal"),
        ("speechsynth CONTROL 10 Jump-Size: +1 Second", "10 402 COMPLETE"),
    ]);
}

#[test]
fn section_8_4_1_a_mark_that_is_not_there_is_refused_and_the_speech_goes_on() {
    check(&[
        SPEECH,
        (
            "speechsynth SPEAK 1 = <speak version='1.0'><audio src='file:///a.wav'/><mark name='m'/></speak>",
            "1 200 IN-PROGRESS | prepare play file:///a.wav | mark m | start",
        ),
        ("speechsynth CONTROL 2 Jump-Size: n Tag", "2 409 COMPLETE of 1 Jump-Size n Tag"),
    ]);
}

#[test]
fn section_8_4_1_a_live_source_has_nowhere_to_jump_to() {
    check(&[
        SPEECH,
        SPEAK,
        ("speechsynth CONTROL 2 Jump-Size: +10 Second", "2 409 COMPLETE of 1 Jump-Size +10 Second"),
        ("speechsynth CONTROL 3 Prosody-Rate: fast", "3 403 COMPLETE of 1 rate fast"),
        ("speechsynth CONTROL 4 Speak-Length: 3 Word", "4 409 COMPLETE of 1"),
        (
            "speechsynth CONTROL 5 Speak-Length: 3 Second",
            "halt | prepare play source:Radio for Samples(24000) | start | 5 200 COMPLETE of 1",
        ),
        ("speechsynth CONTROL 6 Prosody-Volume: -6dB", "gain -6.0 | 6 200 COMPLETE of 1"),
        ("speechsynth STOP 7", "halt | 7 200 COMPLETE of 1"),
        (
            "speechsynth SPEAK 8 Prosody-Volume: -6dB = source:Radio",
            "8 200 IN-PROGRESS | prepare play source:Radio | start -6.0 dB",
        ),
        ("speechsynth CONTROL 9 Jump-Size: +10 Second", "9 409 COMPLETE of 8 Jump-Size +10 Second"),
        ("speechsynth STOP 10", "halt | 10 200 COMPLETE of 8"),
        (
            "speechsynth SPEAK 11 = <speak version='1.0'><mark name='m'/><audio src='source:Radio'/></speak>",
            "11 200 IN-PROGRESS | prepare mark m | play source:Radio | start",
        ),
        (
            "speechsynth CONTROL 12 Jump-Size: +10 Second",
            "12 409 COMPLETE of 11 Jump-Size +10 Second",
        ),
    ]);
}

#[test]
fn a_change_meets_an_utterance_that_is_not_heard_yet() {
    let mut stand = Stand::new();
    stand.feeders = Feeders::Slow;
    check_on(
        stand,
        &[
            SPEECH,
            (
                "speechsynth SPEAK 1 = file:///a.wav",
                "1 200 IN-PROGRESS | prepare play file:///a.wav",
            ),
            (
                "speechsynth CONTROL 2 Jump-Size: +10 Second",
                "halt | prepare play file:///a.wav from 0 + 80000 | 2 200 COMPLETE of 1",
            ),
            (
                "speechsynth CONTROL 3 Jump-Size: +10 Second",
                "halt | prepare play file:///a.wav from 0 + 160000 | 3 200 COMPLETE of 1",
            ),
            ("speechsynth CONTROL 4 Prosody-Volume: +6dB", "4 200 COMPLETE of 1"),
            ("speechsynth PAUSE 5", "5 200 COMPLETE of 1"),
            ("ready", "start 6.0 dB | pause"),
            ("speechsynth RESUME 6", "resume | 6 200 COMPLETE of 1"),
            ("speechsynth STOP 7", "halt | 7 200 COMPLETE of 1"),
            (
                "speechsynth SPEAK 8 Jump-Size: 5 Second = file:///a.wav",
                "8 200 IN-PROGRESS | prepare play file:///a.wav from 0 + 40000",
            ),
            ("speechsynth STOP 9", "halt | 9 200 COMPLETE of 8"),
        ],
    );
}

#[test]
fn marks_are_told_when_they_are_passed() {
    check(&[
        SPEECH,
        (
            "speechsynth SPEAK 1 = <speak version='1.0'>a<mark name='here'/>b</speak>",
            "1 200 IN-PROGRESS | prepare say 1 words | start",
        ),
        ("mark 1 here", ""),
        ("pass 1", "SPEECH-MARKER 1 at here"),
        ("pass 1", ""),
        ("pass 2", ""),
        (
            "speechsynth CONTROL 2 Jump-Size: here Tag",
            "halt | prepare say 1 words from 0 + mark here | start | 2 200 COMPLETE of 1 at here",
        ),
        ("end", "SPEAK-COMPLETE 1 000 normal at here"),
    ]);
}

#[test]
fn two_channels_take_turns() {
    check(&[
        (
            "invite mrcp@10.0.0.2 audio speechsynth basicsynth",
            "open 10.0.0.1:4000 Mu sendrecv | 200 [20000 audio sendrecv] [8104 speechsynth] [8104 basicsynth]",
        ),
        (
            "speechsynth SPEAK 1 = file:///a.wav",
            "1 200 IN-PROGRESS | prepare play file:///a.wav | start",
        ),
        ("basicsynth SPEAK 2 = file:///b.wav", "2 200 IN-PROGRESS"),
        ("basicsynth CONTROL 3 Jump-Size: 5 Second", "3 200 COMPLETE of 2"),
        ("basicsynth CONTROL 4 Prosody-Volume: +6dB", "4 200 COMPLETE of 2"),
        ("basicsynth PAUSE 5", "5 200 COMPLETE of 2"),
        (
            "speechsynth STOP 6",
            "halt | prepare play file:///b.wav from 0 + 40000 | start 6.0 dB | pause | 6 200 COMPLETE of 1",
        ),
        ("basicsynth RESUME 7", "resume | 7 200 COMPLETE of 2"),
        ("speechsynth SPEAK 8 = file:///c.wav", "8 200 IN-PROGRESS"),
        (
            "basicsynth BARGE-IN-OCCURRED 9",
            "halt | prepare play file:///c.wav | start | 9 200 COMPLETE of 2",
        ),
        ("end", "SPEAK-COMPLETE 8 000 normal"),
        ("basicsynth SPEAK 10 = Hello", "10 408 COMPLETE"),
    ]);
}

#[test]
fn section_5_2_and_5_4_requests_that_reach_no_machine() {
    check(&[
        SPEECH,
        SPEAK,
        ("speechsynth GET-PARAMS 1", "1 410 COMPLETE"),
        ("speechsynth/2 GET-PARAMS 0", "0 410 COMPLETE by 2"),
        ("basicsynth SPEAK 2 = source:Radio", "2 405 COMPLETE"),
        ("speechsynth RECOGNIZE 3", "3 405 COMPLETE"),
        ("raw 1 STOP 4\r\n\r\n", "4 406 COMPLETE"),
        (
            "raw 1 STOP 5\r\nChannel-Identifier: 0@speechsynth\r\nContent-Length: x\r\n\r\n",
            "5 404 COMPLETE",
        ),
        ("speechsynth STOP 4294967295", "halt | 4294967295 200 COMPLETE of 1"),
    ]);
}

#[test]
fn section_4_2_answers_go_by_the_connection_that_asked() {
    check(&[
        SPEECH,
        SPEAK,
        ("speechsynth/2 SPEAK 2 = file:///b.wav", "2 200 PENDING by 2"),
        (
            "end",
            "SPEAK-COMPLETE 1 000 normal | prepare play file:///b.wav | start | SPEECH-MARKER 2 by 2",
        ),
        ("speechsynth/3 GET-PARAMS 3 Voice-Name:", "3 200 COMPLETE by 3"),
        ("close 2", ""),
        ("end", "SPEAK-COMPLETE 2 000 normal by 3"),
    ]);
}

#[test]
fn section_8_14_lexicons_from_elsewhere_are_fetched_before_the_answer() {
    check(&[
        SPEECH,
        ("speechsynth DEFINE-LEXICON 1 = http://h/a.pls", "fetch http://h/a.pls"),
        ("lexicons http://h/a.pls", "1 200 COMPLETE"),
        ("speechsynth DEFINE-LEXICON 2 = http://h/b.pls", "fetch http://h/b.pls"),
        (
            "lexicons fail http://h/b.pls",
            "2 407 COMPLETE 006 lexicon-load-failure \"404 Not Found\" http://h/b.pls 404",
        ),
    ]);
}

#[test]
fn section_5_4_a_rate_that_a_live_source_cannot_have_is_told() {
    check(&[
        SPEECH,
        (
            "speechsynth SPEAK 1 Prosody-Rate: 1.5 = source:Radio",
            "1 201 IN-PROGRESS rate 1.5 | prepare play source:Radio | start",
        ),
        ("speechsynth SPEAK 2 Prosody-Rate: fast = source:Radio", "2 201 PENDING rate fast"),
        ("speechsynth SPEAK 3 Prosody-Rate: fast = file:///a.wav", "3 200 PENDING"),
        ("speechsynth SPEAK 4 = source:Radio", "4 200 PENDING"),
        ("speechsynth CONTROL 5 Prosody-Rate: fast", "5 403 COMPLETE of 1 rate fast"),
        ("speechsynth STOP 6", "halt | 6 200 COMPLETE of 1,2,3,4"),
        ("speechsynth SET-PARAMS 7 Prosody-Rate: 2", "7 200 COMPLETE"),
        (
            "speechsynth SPEAK 8 = source:Radio",
            "8 201 IN-PROGRESS rate 2 | prepare play source:Radio | start",
        ),
    ]);
}

#[test]
fn section_6_2_16_who_asks_is_told_how_soon_it_was_spoken() {
    let asks = "speechsynth SET-PARAMS 1 Vendor-Specific-Parameters: io.entracte.timing=true";
    check(&[
        SPEECH,
        (asks, "1 200 COMPLETE"),
        ("speechsynth SPEAK 2 = Hello", "2 200 IN-PROGRESS | prepare say 1 words | start"),
        ("spoke neural 38", ""),
        (
            "end",
            "SPEAK-COMPLETE 2 000 normal \
             io.entracte.provider=neural;io.entracte.voice=en-us;io.entracte.first-audio-ms=38",
        ),
        ("speechsynth SPEAK 3 = Hello", "3 200 IN-PROGRESS | prepare say 1 words | start"),
        ("end", "SPEAK-COMPLETE 3 000 normal"),
        (
            "speechsynth SET-PARAMS 4 Vendor-Specific-Parameters: io.entracte.timing=false",
            "4 200 COMPLETE",
        ),
        ("speechsynth SPEAK 5 = Hello", "5 200 IN-PROGRESS | prepare say 1 words | start"),
        ("spoke neural 38", ""),
        ("end", "SPEAK-COMPLETE 5 000 normal"),
    ]);
}

#[test]
fn what_is_asked_in_between_does_not_take_an_events_way_home() {
    let mut stand = Stand::new();
    stand.step(SPEECH.0);
    stand.step("speechsynth/2 SPEAK 1 = source:Radio");
    for id in 2..400 {
        stand.step(&format!("speechsynth SPEAK {id} = file:///a.wav"));
        if id % 3 == 0 {
            let first = id - 2;
            let last = id - 1;
            stand.step(&format!("speechsynth STOP {id} Active-Request-Id-List: {first},{last}"));
        }
    }
    check_on(
        stand,
        &[(
            "end",
            "SPEAK-COMPLETE 1 000 normal by 2 | prepare play file:///a.wav | start | SPEECH-MARKER 2",
        )],
    );
}

/// Two sentences of two words, then a file: as a feeder tells them.
const TOLD: [(&str, &str); 8] = [
    ("border 0 step 0 0", ""),
    ("border 0 sentence 0 0", ""),
    ("border 0 word 0 0", ""),
    ("border 8000 word 0 1", ""),
    ("border 16000 sentence 0 2", ""),
    ("border 16000 word 0 2", ""),
    ("border 24000 word 0 3", ""),
    ("border 32000 step 1 0", ""),
];

#[test]
fn section_8_4_1_a_jump_by_words_lands_where_they_begin() {
    let spoken = "speechsynth SPEAK 1 = <speak version='1.0'>One two. Three four.<audio src='file:///a.wav'/></speak>";
    let mut rows = vec![
        SPEECH,
        (spoken, "1 200 IN-PROGRESS | prepare say 4 words | play file:///a.wav | start"),
    ];
    rows.extend(TOLD);
    rows.extend([
        ("wait 3500", ""),
        ("speechsynth CONTROL 2 Jump-Size: -1 Word", "halt | prepare say 4 words | play file:///a.wav from 0 + 24000 | start | 2 200 COMPLETE of 1"),
    ]);
    rows.extend(TOLD);
    rows.extend([
        ("skipped 24000", ""),
        ("wait 250", ""),
        ("speechsynth CONTROL 3 Prosody-Rate: fast", "halt | prepare say 4 words | play file:///a.wav from 0 + 3 Word | start | 3 200 COMPLETE of 1"),
        ("skipped 12000", ""),
        ("speechsynth CONTROL 4 Jump-Size: +1 Second", "halt | prepare say 4 words | play file:///a.wav from 0 + 20000 | start | 4 200 COMPLETE of 1"),
        ("speechsynth CONTROL 5 Jump-Size: 1 Sentence", "halt | prepare say 4 words | play file:///a.wav from 0 + 1 Sentence | start | 5 200 COMPLETE of 1"),
        ("speechsynth CONTROL 6 Speak-Length: 1 Sentence", "halt | prepare say 4 words | play file:///a.wav from 0 + 1 Sentence for Units(Sentence, 1) | start | 6 200 COMPLETE of 1"),
    ]);
    rows.extend(TOLD);
    rows.extend([
        ("skipped 16000", ""),
        ("wait 1000", ""),
        ("speechsynth CONTROL 7 Jump-Size: +5 Word", "halt | prepare say 4 words | play file:///a.wav from 0 + 8 Word for Units(Sentence, 1) | start | 7 200 COMPLETE of 1"),
        ("speechsynth CONTROL 8 Jump-Size: -9 Paragraph", "halt | prepare say 4 words | play file:///a.wav for Units(Sentence, 1) | start | 8 200 COMPLETE of 1 restart true"),
        ("end", "SPEAK-COMPLETE 1 000 normal"),
    ]);
    check(&rows);
}

#[test]
fn section_8_4_15_a_length_counts_what_was_heard_before_a_jump() {
    let mut rows = vec![
        SPEECH,
        (
            "speechsynth SPEAK 1 Speak-Length: 3 Sentence = One two. Three four. Five. Six.",
            "1 200 IN-PROGRESS | prepare say 6 words for Units(Sentence, 3) | start",
        ),
    ];
    rows.extend(TOLD);
    rows.extend([
        ("wait 2500", ""),
        ("speechsynth CONTROL 2 Jump-Size: +1 Second", "halt | prepare say 6 words from 0 + 28000 for Units(Sentence, 1) | start | 2 200 COMPLETE of 1"),
        ("speechsynth STOP 3", "halt | 3 200 COMPLETE of 1"),
        ("speechsynth SPEAK 4 Speak-Length: 9 Second = file:///a.wav", "4 200 IN-PROGRESS | prepare play file:///a.wav for Samples(72000) | start"),
        ("wait 2000", ""),
        ("speechsynth CONTROL 5 Jump-Size: +20 Second", "halt | prepare play file:///a.wav from 0 + 176000 for Samples(56000) | start | 5 200 COMPLETE of 4"),
        ("speechsynth CONTROL 6 Speak-Length: here Tag", "halt | prepare play file:///a.wav from 0 + 176000 for Mark(\"here\") | start | 6 200 COMPLETE of 4"),
    ]);
    check(&rows);
}
