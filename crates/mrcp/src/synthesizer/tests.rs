use std::fmt::Write;

use super::*;
use crate::headers::Header;
use crate::message::Response;
use crate::settings::Param;

const CHANNEL: &str = "a1@speechsynth";

/// One synthesizer, its clocks and its script.
struct Bench {
    synthesizer: Synthesizer,
    now_ms: u64,
    at: u64,
    out: Vec<Output>,
}

fn run(kind: Kind, script: &str) -> Vec<Output> {
    let synthesizer = Synthesizer::new(kind, Settings::default());
    let mut bench = Bench { synthesizer, now_ms: 0, at: 1000, out: Vec::new() };
    for step in script.split(", ") {
        bench.step(step);
        bench.at += 1;
    }
    bench.out
}

/// Each step gives what is told after it; see `told` for the form.
fn check(script: &str, expected: &str) {
    check_kind(Kind::Speech, script, expected);
}

fn check_kind(kind: Kind, script: &str, expected: &str) {
    let out: Vec<String> = run(kind, script).iter().map(told).collect();
    assert_eq!(out.join(", "), expected, "{script}");
}

/// The wire text of all messages, for rows about header fields that `told` leaves out.
fn check_wire(script: &str, expected: &[&str]) {
    let sent: Vec<String> = run(Kind::Speech, script)
        .iter()
        .filter_map(|output| {
            let Output::Send(message) = output else { return None };
            let text = String::from_utf8(message.to_bytes()).unwrap();
            let lines: Vec<&str> = text.trim_end().split("\r\n").collect();
            let (_, line) = lines[0].split_once(' ').unwrap().1.split_once(' ').unwrap();
            Some(format!("{line} {}", lines[2..].join(" ")))
        })
        .collect();
    let sent: Vec<&str> = sent.iter().map(|text| text.trim_end()).collect();
    assert_eq!(sent, expected, "{script}");
}

impl Bench {
    /// `verb id rest | Header: value | … << body`
    fn step(&mut self, step: &str) {
        let (head, body) = step.split_once(" << ").unwrap_or((step, ""));
        let mut pieces = head.split(" | ");
        let words: Vec<&str> = pieces.next().unwrap().split(' ').collect();
        let headers: Headers = pieces
            .map(|field| {
                let (name, value) = field.split_once(':').unwrap();
                Header { name: name.into(), value: value.trim().into() }
            })
            .collect();
        let number = words.get(1).and_then(|word| word.parse().ok()).unwrap_or_default();
        let id = RequestId::from_number(number);
        let rest = words.get(2).copied().unwrap_or_default();
        let at = NtpTime::from_bits(self.at);
        let input = match words[0] {
            "mark" => Input::Marker { request: id, name: rest.into(), at },
            "end" => Input::Finished { request: id, end: end(rest), at },
            "did" => Input::Changed { control: id, outcome: outcome(rest), at },
            "fetched" => Input::LexiconsFetched { request: id, fetched: fetched(rest) },
            "cookie" => Input::Cookies { request: id, cookies: vec![rest.into()] },
            "tell" => {
                let parameter = |pair: &str| {
                    let (name, value) = pair.split_once('=').unwrap();
                    VendorParameter { name: name.into(), value: value.into() }
                };
                Input::Told { request: id, parameters: rest.split(';').map(parameter).collect() }
            }
            "voice-heard" => Input::BargeIn { at },
            "after" => {
                self.now_ms += u64::from(number);
                Input::Deadline { at }
            }
            verb => Input::Request { request: request(verb, id, headers, body), at },
        };
        self.synthesizer.handle(Now::from_millis(self.now_ms), input, &mut self.out);
    }
}

fn request(verb: &str, id: RequestId, mut headers: Headers, body: &str) -> Request {
    let method = match verb {
        "barge" => Method::BargeInOccurred,
        "set" => Method::SetParams,
        "get" => Method::GetParams,
        "lexicon" => Method::DefineLexicon,
        other => Method::parse(other),
    };
    let mut body = body.replace('\n', "\r\n").into_bytes();
    if method == Method::Speak && headers.get("Content-Type").is_none() {
        headers.push("Content-Type", "text/plain");
        body = b"good morning".to_vec();
    }
    Request { method, id, channel: ChannelId::parse(CHANNEL).unwrap(), headers, body }
}

fn end(name: &str) -> End {
    match name {
        "" => End::Normal,
        "parse" => End::ParseFailure("line 3: no such element".into()),
        "uri" => End::UriFailure {
            uri: "source:Radio One".into(),
            cause: "not found".into(),
            why: "no such source".into(),
        },
        "error" => End::Error("helper died".into()),
        "language" => End::LanguageUnsupported("tlh".into()),
        "lexicon" => End::LexiconLoadFailure {
            uri: "http://a/l".into(),
            why: "not found: http://a/l".into(),
        },
        "cancelled" => End::Cancelled,
        other => panic!("{other}"),
    }
}

fn outcome(name: &str) -> Outcome {
    match name {
        "applied" => Outcome::Applied,
        "restarted" => Outcome::Restarted,
        "no-jump" => Outcome::Unsupported(ChangePart::Jump),
        "no-length" => Outcome::Unsupported(ChangePart::Length),
        "no-voice" => Outcome::Unsupported(ChangePart::Voice),
        "no-prosody" => Outcome::Unsupported(ChangePart::Prosody),
        "failed" => Outcome::Failed("engine gone".into()),
        other => panic!("{other}"),
    }
}

fn fetched(uri: &str) -> Result<Vec<Lexicon>, LexiconFailure> {
    if uri == "404" {
        let why = "server says no".to_owned();
        return Err(LexiconFailure { uri: "http://a/l".into(), cause: "404".into(), why });
    }
    let media_type = crate::MediaType::parse("application/pls+xml").unwrap();
    Ok(vec![Lexicon { uri: uri.into(), media_type, bytes: (*b"<lexicon/>").into() }])
}

fn told(output: &Output) -> String {
    match output {
        Output::Send(Message::Response(response)) => told_response(response),
        Output::Send(Message::Event(event)) => told_event(event),
        Output::Send(Message::Request(request)) => panic!("{request:?}"),
        Output::Play { utterance, start: Start::Sounding } => format!("play {}", utterance.request),
        Output::Play { utterance, start: Start::Held } => format!("held {}", utterance.request),
        Output::Silence { request } => format!("silence {request}"),
        Output::Pause => "pause".into(),
        Output::Resume => "resume".into(),
        Output::Change { request, control, change } => {
            let mut text = format!("change {request} for {control}");
            if let Some(jump) = &change.jump {
                write!(text, " jump {jump}").unwrap();
            }
            if let Some(length) = &change.length {
                write!(text, " length {length}").unwrap();
            }
            let mut settings = Settings { voice: change.voice.clone(), ..Settings::default() };
            settings.prosody = change.prosody.clone();
            settings.vendor = change.vendor.clone();
            for param in Param::all() {
                let value = settings.values(param).join("");
                if settings.values(param) != Settings::default().values(param) {
                    write!(text, " {param:?} {value}").unwrap();
                }
            }
            text
        }
        Output::FetchLexicons { request, uris, .. } => {
            format!("fetch {request} {}", uris.join(" "))
        }
    }
}

/// `id:status`, the state unless complete, the list, and other fields but Speech-Marker.
fn told_response(response: &Response) -> String {
    let mut text = format!("{}:{}", response.id, response.status);
    if response.state != RequestState::Complete {
        write!(text, " {}", response.state.as_str().to_lowercase()).unwrap();
    }
    if let Some(list) = response.headers.get("Active-Request-Id-List") {
        write!(text, " [{}]", list.replace(',', " ")).unwrap();
    }
    text + &others(&response.headers)
}

/// `marker id name` or `complete id cause` and other fields.
fn told_event(event: &Event) -> String {
    let marker = event.marker().unwrap();
    match event.completion() {
        None => {
            assert_eq!(event.state, RequestState::InProgress);
            let name = marker.name.map(|name| format!(" {name}")).unwrap_or_default();
            format!("marker {}{name}", event.id)
        }
        Some(completion) => {
            assert_eq!(event.state, RequestState::Complete);
            let (code, _) = completion.cause.unwrap().as_str().split_once(' ').unwrap();
            format!("complete {} {code}{}", event.id, others(&event.headers))
        }
    }
}

fn others(headers: &Headers) -> String {
    let told = ["Active-Request-Id-List", "Speech-Marker", "Completion-Cause"];
    headers
        .iter()
        .filter(|header| !told.contains(&header.name.as_str()))
        .map(|header| format!(" {{{}: {}}}", header.name, header.value))
        .collect()
}

#[test]
fn section_8_6_speak_is_in_progress_when_idle_and_pending_behind_another() {
    check("speak 1", "1:200 in-progress, play 1");
    check("speak 1, speak 2", "1:200 in-progress, play 1, 2:200 pending");
    check(
        "speak 1, pause 2, speak 3",
        "1:200 in-progress, play 1, pause, 2:200 [1], 3:200 pending",
    );
    check(
        "speak 1, speak 2, end 1, end 2",
        "1:200 in-progress, play 1, 2:200 pending, \
         complete 1 000, play 2, marker 2, complete 2 000",
    );
}

#[test]
fn section_8_6_if_the_current_speak_fails_those_that_wait_are_cancelled() {
    let check = |end: &str, expected: &str| {
        check(
            &format!("speak 1, speak 2, speak 3, end 1 {end}, speak 4"),
            &format!(
                "1:200 in-progress, play 1, 2:200 pending, 3:200 pending, {expected}, \
                 complete 2 007, complete 3 007, 4:200 in-progress, play 4"
            ),
        );
    };
    check("parse", r#"complete 1 002 {Completion-Reason: "line 3: no such element"}"#);
    check(
        "uri",
        r#"complete 1 003 {Completion-Reason: "no such source: source:Radio One"} {Failed-URI: source:Radio%20One} {Failed-URI-Cause: not-found}"#,
    );
    check("error", r#"complete 1 004 {Completion-Reason: "helper died"}"#);
    check("language", r#"complete 1 005 {Completion-Reason: "no voice speaks tlh"}"#);
    check(
        "lexicon",
        r#"complete 1 006 {Completion-Reason: "not found: http://a/l"} {Failed-URI: http://a/l} {Failed-URI-Cause: lexicon-load-failure}"#,
    );
    check("cancelled", "complete 1 007");
}

#[test]
fn section_8_7_stop_ends_all_or_those_that_it_names() {
    check("stop 1", "1:200");
    let two = "1:200 in-progress, play 1, 2:200 pending, ";
    check("speak 1, speak 2, stop 3", &format!("{two}silence 1, 3:200 [1 2]"));
    check(
        "speak 1, speak 2, stop 3 | Active-Request-Id-List: 1",
        &format!("{two}silence 1, 3:200 [1], play 2, marker 2"),
    );
    check(
        "speak 1, speak 2, stop 3 | Active-Request-Id-List: 2, end 1",
        &format!("{two}3:200 [2], complete 1 000"),
    );
    check("speak 1, speak 2, stop 3 | Active-Request-Id-List: 9", &format!("{two}3:200"));
    check(
        "speak 1, speak 2, stop 3 | Active-Request-Id-List:9,2,1 | active-request-id-list: 7",
        &format!("{two}silence 1, 3:200 [1 2]"),
    );
    check("speak 1, speak 2, stop 3 | Active-Request-Id-List: 1;2", &format!("{two}3:404 [1;2]"));
}

#[test]
fn section_8_7_after_a_stop_while_paused_the_next_is_held() {
    check(
        "speak 1, speak 2, pause 3, stop 4 | Active-Request-Id-List:1, pause 5, resume 6, end 2",
        "1:200 in-progress, play 1, 2:200 pending, pause, 3:200 [1], silence 1, 4:200 [1], held 2, \
         5:200 [2], resume, 6:200 [2], marker 2, complete 2 000",
    );
    check(
        "speak 1, speak 2, pause 3, end 1, resume 4",
        "1:200 in-progress, play 1, 2:200 pending, pause, 3:200 [1], complete 1 000, held 2, \
         resume, 4:200 [2], marker 2",
    );
}

#[test]
fn section_8_8_barge_in_ends_what_allows_it_and_all_behind_it() {
    check("barge 1", "1:200");
    check(
        "speak 1, speak 2 | Kill-On-Barge-In:false, barge 3 | Proxy-Sync-Id:99",
        "1:200 in-progress, play 1, 2:200 pending, silence 1, 3:200 [1 2]",
    );
    check(
        "speak 1 | Kill-On-Barge-In:false, speak 2, barge 3",
        "1:200 in-progress, play 1, 2:200 pending, 3:200",
    );
    check(
        "set 1 | Kill-On-Barge-In:false, speak 2, barge 3, speak 4 | Kill-On-Barge-In:true",
        "1:200, 2:200 in-progress, play 2, 3:200, 4:200 pending",
    );
    check(
        "speak 1, pause 2, barge 3",
        "1:200 in-progress, play 1, pause, 2:200 [1], silence 1, 3:200 [1]",
    );
}

#[test]
fn section_8_4_2_a_barge_in_that_the_server_notices_completes_with_001() {
    check(
        "speak 1, speak 2, voice-heard, barge 3",
        "1:200 in-progress, play 1, 2:200 pending, silence 1, complete 1 001, complete 2 001, 3:200",
    );
    check("speak 1 | Kill-On-Barge-In:false, voice-heard", "1:200 in-progress, play 1");
    check("voice-heard", "");
}

#[test]
fn section_8_9_and_8_10_pause_and_resume() {
    check("pause 1", "1:402");
    check("resume 1", "1:402");
    check(
        "speak 1, resume 2, pause 3, pause 4, resume 5, resume 6",
        "1:200 in-progress, play 1, 2:200, pause, 3:200 [1], 4:200 [1], resume, 5:200 [1], 6:200",
    );
}

#[test]
fn section_8_11_control_waits_for_the_player_and_then_is_answered() {
    let speak = "1:200 in-progress, play 1, ";
    check("control 1 | Jump-Size:-5 Second", "1:402");
    check("speak 1, control 2", &format!("{speak}2:200 [1]"));
    check(
        "speak 1, control 2 | Jump-Size:-15 Words, did 2 applied",
        &format!("{speak}change 1 for 2 jump -15 Word, 2:200 [1]"),
    );
    check(
        "speak 1, control 2 | Jump-Size:-99 Second, did 2 restarted",
        &format!("{speak}change 1 for 2 jump -99 Second, 2:200 [1] {{Speak-Restart: true}}"),
    );
    check(
        "speak 1, control 2 | Jump-Size:+2 Sentence | Speak-Length:1 Paragraph, did 2 no-jump",
        &format!(
            "{speak}change 1 for 2 jump +2 Sentence length 1 Paragraph, \
             2:409 [1] {{Jump-Size: +2 Sentence}}"
        ),
    );
    check(
        "speak 1, control 2 | Speak-Length:here Tag, did 2 no-length",
        &format!("{speak}change 1 for 2 length here Tag, 2:409 [1] {{Speak-Length: here Tag}}"),
    );
    check(
        "speak 1, control 2 | Voice-gender:male | Prosody-rate:fast, did 2 no-voice",
        &format!(
            "{speak}change 1 for 2 Voice(Gender) male Prosody(Rate) fast, \
             2:403 [1] {{Voice-gender: male}}"
        ),
    );
    check(
        "speak 1, control 2 | Prosody-volume:50, did 2 no-prosody, did 2 applied",
        &format!("{speak}change 1 for 2 Prosody(Volume) 50, 2:403 [1] {{Prosody-volume: 50}}"),
    );
    check(
        "speak 1, pause 2, control 3 | Prosody-rate:1.5, did 3 applied",
        &format!("{speak}pause, 2:200 [1], change 1 for 3 Prosody(Rate) 1.5, 3:200 [1]"),
    );
}

#[test]
fn section_8_11_a_jump_past_the_end_is_answered_before_speak_complete() {
    check(
        "speak 1, speak 2, control 3 | Jump-Size:+99 Second, end 1",
        "1:200 in-progress, play 1, 2:200 pending, change 1 for 3 jump +99 Second, \
         3:200 [1], complete 1 000, play 2, marker 2",
    );
    check(
        "speak 1, control 2 | Jump-Size:+1 Second, stop 3, did 2 applied",
        "1:200 in-progress, play 1, change 1 for 2 jump +1 Second, 2:200 [1], silence 1, 3:200 [1]",
    );
}

#[test]
fn a_control_that_the_player_does_not_answer_is_answered_in_time() {
    check(
        "speak 1, control 2 | Prosody-rate:2, after 1999, after 1, did 2 applied",
        r#"1:200 in-progress, play 1, change 1 for 2 Prosody(Rate) 2, 2:407 [1] {Completion-Reason: "the player did not answer"}"#,
    );
    check(
        "speak 1, control 2 | Prosody-rate:2, did 2 failed",
        r#"1:200 in-progress, play 1, change 1 for 2 Prosody(Rate) 2, 2:407 [1] {Completion-Reason: "engine gone"}"#,
    );
    let mut script = String::from("speak 1");
    for id in 2..=CONTROLS_MAX + 2 {
        write!(script, ", control {id} | Prosody-rate:2").unwrap();
    }
    let out = run(Kind::Speech, &script);
    assert_eq!(
        told(out.last().unwrap()),
        r#"10:407 [1] {Completion-Reason: "8 CONTROL requests are waiting already"}"#
    );
}

#[test]
fn section_8_13_markers_are_told_and_the_last_one_is_kept() {
    check(
        "speak 1, mark 1 here, mark 2 ghost, mark 1 ANSWER, end 1, mark 1 late",
        "1:200 in-progress, play 1, marker 1 here, marker 1 ANSWER, complete 1 000",
    );
    check_wire(
        "speak 1, speak 2, mark 1 here, control 3, barge 4 | Accept:x, end 1, stop 5, stop 6, control 7",
        &[
            "1 200 IN-PROGRESS Speech-Marker: timestamp=1000",
            "2 200 PENDING",
            "SPEECH-MARKER 1 IN-PROGRESS Speech-Marker: timestamp=1002;here",
            "3 200 COMPLETE Active-Request-Id-List: 1 Speech-Marker: timestamp=1003;here",
            "4 200 COMPLETE Active-Request-Id-List: 1,2 Speech-Marker: timestamp=1004;here",
            "5 200 COMPLETE Speech-Marker: timestamp=1006",
            "6 200 COMPLETE Speech-Marker: timestamp=1007",
            "7 402 COMPLETE Speech-Marker: timestamp=1008",
        ],
    );
    check_wire(
        "speak 1, speak 2, mark 1 here, end 1",
        &[
            "1 200 IN-PROGRESS Speech-Marker: timestamp=1000",
            "2 200 PENDING",
            "SPEECH-MARKER 1 IN-PROGRESS Speech-Marker: timestamp=1002;here",
            "SPEAK-COMPLETE 1 COMPLETE Completion-Cause: 000 normal Speech-Marker: timestamp=1003;here",
            "SPEECH-MARKER 2 IN-PROGRESS Speech-Marker: timestamp=1003",
        ],
    );
}

#[test]
fn the_players_last_word_can_cross_a_stop() {
    check(
        "speak 1, stop 2, end 1, speak 3, end 1 error, end 3",
        "1:200 in-progress, play 1, silence 1, 2:200 [1], 3:200 in-progress, play 3, complete 3 000",
    );
}

#[test]
fn the_queue_has_an_end_and_says_so() {
    let mut script = String::from("speak 1");
    for id in 2..=QUEUE_MAX + 2 {
        write!(script, ", speak {id}").unwrap();
    }
    let out = run(Kind::Speech, &script);
    assert_eq!(
        told(out.last().unwrap()),
        r#"34:407 {Completion-Reason: "32 SPEAK requests are waiting already"}"#
    );
    assert_eq!(out.iter().filter(|output| told(output).contains("pending")).count(), QUEUE_MAX);
}

#[test]
fn section_5_4_a_method_that_the_resource_does_not_know_is_answered() {
    check("RECOGNIZE 1, GIBBERISH 2, stop 3", "1:405, 2:405, 3:200");
}

#[test]
fn section_8_5_a_body_that_cannot_be_spoken_is_refused() {
    check("speak 1 | Content-Type:text/plain", "1:406");
    check("SPEAK 1 | Content-Type: << hello", "1:406");
    check("speak 1 | Content-Type:nonsense << hello", "1:404 {Content-Type: nonsense}");
    check("speak 1 | Content-Type:image/png << hello", "1:408 {Content-Type: image/png}");
    check("speak 1 | Content-Type:audio/basic << hello", "1:408 {Content-Type: audio/basic}");
    check(
        "speak 1 | Content-Type:text/plain | Content-Encoding:gzip << hello",
        "1:409 {Content-Encoding: gzip}",
    );
    check(
        "speak 1 | Content-Type:text/plain | Content-Encoding:identity << hello",
        "1:200 in-progress, play 1",
    );
    check(
        "speak 1 | Content-Type:multipart/mixed << hello",
        "1:404 {Content-Type: multipart/mixed}",
    );
    check(
        "speak 1 | Content-Type:multipart/mixed;boundary=b << hello",
        "1:408 {Content-Type: multipart/mixed;boundary=b}",
    );
    check(
        "speak 1 | Content-Type:text/plain | Content-Type:text/plain << hello",
        "1:404 {Content-Type: text/plain}",
    );
}

#[test]
fn section_8_5_1_a_multipart_body_is_spoken_in_order_and_brings_its_sounds() {
    let body = "--b\nContent-Type:text/uri-list\n\n# first\nhttp://a/1\nhttp://a/2\n\n--b\n\
                Content-Type:application/ssml+xml\nContent-Base:http://own/\n\n<speak/>\n--b\n\
                Content-Type:audio/basic\nContent-ID:<clip@x>\nContent-Transfer-Encoding:base64\n\n\
                /v7+\n--b--\n";
    let out = run(
        Kind::Speech,
        &format!(
            "speak 1 | Content-Type:multipart/mixed;boundary=b | Content-Base:http://all/ << {body}"
        ),
    );
    let Some(Output::Play { utterance, .. }) = out.last() else { panic!("{out:?}") };
    let content = &utterance.content;
    let spoken: Vec<(&str, Option<&str>)> = content
        .spoken
        .iter()
        .map(|part| (part.media_type.essence(), part.base.as_deref()))
        .collect();
    assert_eq!(
        spoken,
        [("text/uri-list", Some("http://all/")), ("application/ssml+xml", Some("http://own/"))]
    );
    assert_eq!(content.spoken[0].uris(), ["http://a/1", "http://a/2"]);
    assert_eq!(content.sound("clip@x").unwrap().bytes, [0xfe, 0xfe, 0xfe]);
}

#[test]
fn section_8_6_the_requests_own_settings_lie_over_the_sessions() {
    let out = run(
        Kind::Speech,
        "set 1 | Voice-Gender:male | Voice-Age:30 | Fetch-Timeout:700, \
         speak 2 | Voice-Age:40 | Prosody-Rate:fast | Jump-Size:+3 Second | Speak-Length:9 Word, \
         set 3 | Voice-Age:50, speak 4",
    );
    let Some(Output::Play { utterance, .. }) = out.get(2) else { panic!("{out:?}") };
    let values = |name: &str| utterance.settings.values(Param::parse(name).unwrap()).join("");
    assert_eq!(values("Voice-Gender"), "male");
    assert_eq!(values("Voice-Age"), "40");
    assert_eq!(values("Prosody-Rate"), "fast");
    assert_eq!(values("Fetch-Timeout"), "700");
    assert_eq!(utterance.offset, Some(Jump::Forward(3, crate::Unit::Second)));
    assert_eq!(utterance.length, Some(SpeakLength::Amount(9, crate::Unit::Word)));
}

#[test]
fn section_6_1_1_set_params_takes_all_or_nothing_and_404_goes_before_403_before_409() {
    check(
        "set 1 | Voice-gender:female | Voice-variant:3, get 2 | Voice-gender: | Voice-variant:",
        "1:200, 2:200 {Voice-gender: female} {Voice-variant: 3}",
    );
    check(
        "set 1 | Voice-gender:female | Voice-age:old | N-Best-List-Length:3 | Fetch-Timeout:999999999, \
         get 2 | Voice-gender:",
        "1:404 {Voice-age: old}, 2:200 {Voice-gender: }",
    );
    check(
        "set 1 | N-Best-List-Length:3 | Fetch-Timeout:999999999 | Jump-Size:+1 Second | Prosody-colour:red",
        "1:403 {N-Best-List-Length: 3} {Jump-Size: +1 Second} {Prosody-colour: red}",
    );
    check("set 1 | fetch-timeout:999999999", "1:409 {fetch-timeout: 999999999}");
    check("set 1 | Voice-Age:1 | voice-age:2", "1:404 {voice-age: 2}");
    check("set 1, set 2 | Active-Request-Id-List:1 | Accept-Charset:utf-8", "1:200, 2:201");
    check("set 1 | Voice-Gender:", "1:404 {Voice-Gender: }");
}

#[test]
fn section_6_1_2_get_params_gives_what_is_asked_or_everything() {
    check(
        "get 1 | Voice-Name: | Confidence-Threshold: | Jump-Size:+1 Second",
        "1:403 {Confidence-Threshold: } {Jump-Size: }",
    );
    check(
        "set 1 | Vendor-Specific-Parameters:com.example.param1=\"Company Name\";com.example.param2=2, \
         get 2 | Vendor-Specific-Parameters:com.example.param2; com.example.none, \
         get 3 | Vendor-Specific-Parameters:",
        "1:200, 2:200 {Vendor-Specific-Parameters: com.example.param2=2;com.example.none=\"\"}, \
         3:200 {Vendor-Specific-Parameters: com.example.param1=\"Company Name\";com.example.param2=2}",
    );
    check(
        "set 1 | Set-Cookie:a=1 | Set-Cookie:b=2 | set-cookie:a=3 | Logging-Tag:x, get 2 | set-cookie:",
        "1:200, 2:200 {set-cookie: a=3} {set-cookie: b=2}",
    );
    check(
        "set 1 | Voice-Gender:male | Logging-Tag:tag, get 2",
        "1:200, 2:200 {Voice-Gender: male} {Voice-Age: } {Voice-Variant: } {Voice-Name: } \
         {Prosody-Pitch: } {Prosody-Contour: } {Prosody-Range: } {Prosody-Rate: } \
         {Prosody-Duration: } {Prosody-Volume: } {Speech-Language: } {Speaker-Profile: } \
         {Kill-On-Barge-In: true} {Lexicon-Search-Order: } {Accept: } {Logging-Tag: tag} \
         {Vendor-Specific-Parameters: } {Fetch-Hint: prefetch} {Audio-Fetch-Hint: prefetch} \
         {Fetch-Timeout: } {Cache-Control: } {Set-Cookie: }",
    );
}

#[test]
fn section_6_2_two_joined_vendor_fields_are_read_as_two() {
    check(
        "set 1 | Vendor-Specific-Parameters:com.a.x=1,com.a.y=2,3, \
         get 2 | Vendor-Specific-Parameters:com.a.y;com.a.x",
        "1:200, 2:200 {Vendor-Specific-Parameters: com.a.y=2,3;com.a.x=1}",
    );
}

#[test]
fn section_5_1_header_fields_are_disallowed_where_they_are_not_listed() {
    check(
        "speak 1 | X-Own:1 | Logging-Tag:x, speak 2 | X-Own:1, stop 3 | X-Own:2",
        "1:201 in-progress, play 1, 2:201 pending, silence 1, 3:201 [1 2]",
    );
    check(
        "speak 1 | Load-Lexicon:true | Completion-Cause:000 normal",
        "1:403 {Load-Lexicon: true}",
    );
    check("speak 1 | Proxy-Sync-Id:1", "1:403 {Proxy-Sync-Id: 1}");
    check(
        "speak 1, pause 2 | Voice-Age:1, control 3 | Kill-On-Barge-In:false, stop 4 | Speak-Length:1 Word",
        "1:200 in-progress, play 1, 2:403 {Voice-Age: 1}, 3:403 [1] {Kill-On-Barge-In: false}, \
         4:403 {Speak-Length: 1 Word}",
    );
    check(
        "speak 1, control 2 | Jump-Size:far | Voice-Age:1, control 3 | Voice-Age:1 | Vendor-Specific-Parameters:com.a.b=1",
        "1:200 in-progress, play 1, 2:404 [1] {Jump-Size: far}, \
         change 1 for 3 Voice(Age) 1 Speech(VendorSpecific) com.a.b=1",
    );
}

#[test]
fn section_8_14_lexicons_are_loaded_unloaded_and_named() {
    let load = "lexicon 1 | Content-Type:application/pls+xml | Content-ID:<a@b> << <lexicon/>";
    let lexicons = |script: &str| {
        let out = run(Kind::Speech, script);
        let Some(Output::Play { utterance, .. }) = out.last() else { panic!("{script}: {out:?}") };
        let names: Vec<String> = utterance
            .lexicons
            .iter()
            .map(|lexicon| match lexicon {
                LexiconRef::Kept(lexicon) => format!("kept {}", lexicon.uri),
                LexiconRef::Uri(uri) => uri.clone(),
            })
            .collect();
        names.join(" ")
    };
    check(load, "1:200");
    assert_eq!(lexicons(&format!("{load}, speak 2")), "kept session:a@b");
    assert_eq!(
        lexicons(&format!("{load}, speak 2 | Lexicon-Search-Order:<http://c/d> <session:a@b>")),
        "http://c/d kept session:a@b"
    );
    assert_eq!(
        lexicons(&format!("{load}, lexicon 2 | Load-Lexicon:false | Content-ID:<a@b>, speak 3")),
        ""
    );
    check("speak 1, lexicon 2", "1:200 in-progress, play 1, 2:402");
    check("lexicon 1 | Content-Type:application/pls+xml << <lexicon/>", "1:406");
    check("lexicon 1 | Load-Lexicon:false", "1:406");
    check("lexicon 1 | Load-Lexicon:maybe", "1:404 {Load-Lexicon: maybe}");
    check(
        "lexicon 1 | Content-Type:text/plain | Content-ID:a << x",
        r#"1:407 {Completion-Reason: "text/plain is no lexicon that we read"}"#,
    );
    check(
        "speak 1 | Lexicon-Search-Order:<session:none>, speak 2",
        r#"1:200 in-progress, complete 1 006 {Completion-Reason: "no lexicon of this session has that Content-ID: session:none"} {Failed-URI: session:none} {Failed-URI-Cause: lexicon-load-failure}, 2:200 in-progress, play 2"#,
    );
}

#[test]
fn section_8_14_lexicons_by_reference_are_fetched_before_the_answer() {
    let list = "lexicon 1 | Content-Type:text/uri-list | Fetch-Timeout:500 << http://a/l\n";
    check(&format!("{list}, fetched 1 http://a/l"), "fetch 1 http://a/l, 1:200");
    check(
        &format!("{list}, fetched 1 404"),
        r#"fetch 1 http://a/l, 1:407 {Completion-Reason: "server says no"} {Failed-URI: http://a/l} {Failed-URI-Cause: 404}"#,
    );
    check(
        &format!("{list}, after 499, after 1, fetched 1 http://a/l"),
        r#"fetch 1 http://a/l, 1:407 {Completion-Reason: "the lexicon was not fetched in time"} {Failed-URI-Cause: timeout}"#,
    );
    check_wire(
        "lexicon 1 | Content-Type:text/plain | Content-ID:a << x",
        &["1 407 COMPLETE Completion-Cause: 006 lexicon-load-failure \
           Completion-Reason: \"text/plain is no lexicon that we read\""],
    );
    let mut script = String::new();
    for id in 0..=FETCHES_MAX {
        write!(script, "lexicon {id} | Content-Type:text/uri-list << http://a/{id}, ").unwrap();
    }
    let out = run(Kind::Speech, script.trim_end_matches(", "));
    assert_eq!(
        told(out.last().unwrap()),
        r#"4:407 {Completion-Reason: "4 DEFINE-LEXICON requests are waiting already"}"#
    );
}

#[test]
fn lexicons_have_a_limit() {
    let mut script = String::new();
    for id in 0..=crate::lexicon::LEXICONS_MAX {
        write!(
            script,
            "lexicon {id} | Content-Type:application/pls+xml | Content-ID:<{id}> << x, "
        )
        .unwrap();
    }
    let out = run(Kind::Speech, script.trim_end_matches(", "));
    assert_eq!(
        told(out.last().unwrap()),
        r#"32:407 {Completion-Reason: "the session keeps too many lexicons already"}"#
    );
}

#[test]
fn section_6_2_15_new_cookies_come_back_with_speak_complete() {
    check(
        "speak 1, cookie 1 a=1, end 1, get 2 | Set-Cookie:, speak 3 | Set-Cookie:b=2, get 4 | Set-Cookie:",
        "1:200 in-progress, play 1, complete 1 000 {Set-Cookie: a=1}, 2:200 {Set-Cookie: a=1}, \
         3:200 in-progress, play 3, 4:200 {Set-Cookie: a=1} {Set-Cookie: b=2}",
    );
}

#[test]
fn section_3_1_a_basic_synthesizer_plays_clips_only() {
    let check = |script: &str, expected: &str| check_kind(Kind::Basic, script, expected);
    check("speak 1", "1:408 {Content-Type: text/plain}");
    check("speak 1 | Content-Type:text/uri-list << source:Radio", "1:200 in-progress, play 1");
    check(
        "speak 1 | Content-Type:application/ssml+xml | Voice-Gender:male | Prosody-Rate:2 << <speak/>",
        "1:201 in-progress, play 1",
    );
    check(
        "set 1 | Voice-Gender:male | Prosody-Pitch:high",
        "1:403 {Voice-Gender: male} {Prosody-Pitch: high}",
    );
    check("get 1 | Voice-Gender: | Prosody-Volume:", "1:403 {Voice-Gender: }");
    let speak = "speak 1 | Content-Type:text/uri-list << a:b";
    check(
        &format!(
            "{speak}, control 2 | Jump-Size:+1 Word, control 3 | Voice-Age:1, control 4 | Jump-Size:x Tag"
        ),
        "1:200 in-progress, play 1, 2:409 [1] {Jump-Size: +1 Word}, 3:403 [1] {Voice-Age: 1}, \
         change 1 for 4 jump x Tag",
    );
    check(
        "lexicon 1 | Content-Type:application/pls+xml | Content-ID:<a> << x",
        r#"1:407 {Completion-Reason: "a basicsynth has no use for a lexicon"}"#,
    );
    check_kind(
        Kind::Basic,
        "speak 1 | Content-Type:text/uri-list | Speak-Length:3 Sentence << a:b",
        "1:409 {Speak-Length: 3 Sentence}",
    );
}

#[test]
fn the_page_of_status_codes_says_what_is_answered() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/mrcp-status.md");
    let page = std::fs::read_to_string(page).unwrap();
    let speak = "speak 1 | Content-Type:text/uri-list << tone:";
    let paused = format!("{speak}, pause 2");
    for (verb, method) in [
        ("speak 9", "SPEAK"),
        ("stop 9", "STOP"),
        ("pause 9", "PAUSE"),
        ("resume 9", "RESUME"),
        ("barge 9", "BARGE-IN-OCCURRED"),
        ("control 9", "CONTROL"),
        ("set 9 | Kill-On-Barge-In:true", "SET-PARAMS"),
        ("get 9 | Kill-On-Barge-In:", "GET-PARAMS"),
        ("lexicon 9 | Content-Type:application/pls+xml | Content-ID:<a> << x", "DEFINE-LEXICON"),
        ("RECOGNIZE 9", "any other"),
    ] {
        let mut row = format!("| {method} |");
        for before in ["", speak, &paused] {
            let script = [before, verb].join(", ");
            let out = run(Kind::Speech, script.trim_start_matches(", "));
            let answers = out.iter().map(told).filter(|told| told.starts_with("9:"));
            let answer = answers.collect::<Vec<_>>().concat();
            let answer = answer.trim_start_matches("9:");
            write!(row, " {} |", answer.split(" {").next().unwrap()).unwrap();
        }
        assert!(page.contains(&row), "docs/mrcp-status.md lacks this row:\n{row}");
    }
}
