//! Documents as clients send them, and the segments they mean.

use ssml::{Defaults, RunPiece, Segment, parse};

/// The segments of a document, one word each, so that a row can be judged by eye.
fn shown(segments: &[Segment]) -> String {
    let parts: Vec<String> = segments
        .iter()
        .map(|segment| match segment {
            Segment::Silence(span) => format!("~{}", span.as_millis()),
            Segment::Mark(name) => format!("#{name}"),
            Segment::Audio(audio) if audio.fallback.is_empty() => format!("<{}>", audio.src),
            Segment::Audio(audio) => format!("<{} else {}>", audio.src, shown(&audio.fallback)),
            Segment::Speech(run) => {
                let words: Vec<String> = run
                    .pieces
                    .iter()
                    .map(|piece| match piece {
                        RunPiece::Text(text) => text.clone(),
                        RunPiece::Phoneme { ph, text, .. } => format!("{text}/{ph}/"),
                        RunPiece::Mark(name) => format!("#{name}"),
                        RunPiece::SentenceStart => "|s ".into(),
                        RunPiece::ParagraphStart => "|p ".into(),
                        RunPiece::Emphasis(level) => format!("!{level:?} "),
                    })
                    .collect();
                format!("\"{}\"", words.concat())
            }
        })
        .collect();
    parts.join(" ")
}

#[track_caller]
fn check(document: &str, expected: &str) {
    let document = parse(document.as_bytes(), &Defaults::default()).expect("it is well-formed");
    assert_eq!(shown(&document.segments), expected);
}

#[test]
fn text_breaks_marks_and_audio_come_in_order() {
    check(
        "<?xml version='1.0'?><speak version='1.0' xmlns='http://www.w3.org/2001/10/synthesis' \
         xml:lang='en-US'>Hello <mark name='a'/>world.<break time='500ms'/>\
         <audio src='http://h/x.wav'><desc>A tune</desc>No tune.</audio><mark name='b'/></speak>",
        "\"Hello#a world.\" ~500 <http://h/x.wav else \"No tune.\"> #b",
    );
}
