//! Documents as clients send them, and the segments they mean.

use std::time::Duration;

use ssml::{
    BYTES_MAX, DEPTH_MAX, Defaults, Document, Emphasis, Gender, Pitch, RunPiece, Segment, Style,
    parse, plain,
};

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

fn read(document: &str) -> Document {
    parse(document.as_bytes(), &Defaults::default()).expect("it is well-formed")
}

/// The content of `speak`.
#[track_caller]
fn content(content: &str, expected: &str) {
    check(&format!("<speak>{content}</speak>"), expected);
}

/// The fault, and the line it is told for.
#[track_caller]
fn refused(document: &[u8], line: usize, expected: &str) {
    let error = parse(document, &Defaults::default()).expect_err("it must be refused");
    assert!(error.what.contains(expected), "{error}");
    assert_eq!(error.line, line, "{error}");
}

/// The styles of the runs of the content of `speak`.
fn styles(content: &str) -> Vec<Style> {
    let document = read(&format!("<speak>{content}</speak>"));
    let styles = document.segments.into_iter().filter_map(|segment| match segment {
        Segment::Speech(run) => Some(run.style),
        Segment::Silence(_) | Segment::Mark(_) | Segment::Audio(_) => None,
    });
    styles.collect()
}

#[test]
fn section_3_1_1_the_root_needs_neither_namespace_nor_version() {
    check("<speak>Hi</speak>", "\"Hi\"");
    check("<?xml version=\"1.0\"?>\n<!-- c --><speak version=\"1.1\">Hi</speak>\n", "\"Hi\"");
    check("<ssml:speak xmlns:ssml=\"x\"><ssml:p>Hi</ssml:p></ssml:speak>", "\"|p Hi\"");
    check(
        "<!DOCTYPE speak PUBLIC \"-//W3C//DTD SYNTHESIS 1.0//EN\" \
         \"http://www.w3.org/TR/speech-synthesis/synthesis.dtd\"><speak>Hi</speak>",
        "\"Hi\"",
    );
    check("<speak/>", "");
    check("<prompt>Hi</prompt>", "\"Hi\"");
    assert_eq!(read("<speak xml:lang='de-CH'>x</speak>").language, "de-CH");
    assert_eq!(read("<speak>x</speak>").language, "en-US");
}

#[test]
fn section_3_1_1_startmark_and_endmark_cut_the_document() {
    check(
        "<speak startmark='a' endmark='b'>One <mark name='a'/>two <break time='1s'/>three \
         <mark name='b'/>four</speak>",
        "\"#a two\" ~1000 \"three#b\"",
    );
    let document = read("<speak startmark='nowhere'>One</speak>");
    assert_eq!((document.segments.len(), document.notes.len()), (1, 1));
}

#[test]
fn section_3_1_8_paragraphs_and_sentences_are_borders() {
    content("<p><s>One</s><s>Two</s></p><p>Three</p>", "\"|p |s One|s  Two|p  Three\"");
    content("a<token>b</token>c<w>d</w>", "\"a b c d\"");
}

#[test]
fn section_3_1_9_to_11_words_stand_for_others() {
    content("It is <say-as interpret-as='cardinal'>12</say-as>.", "\"It is twelve.\"");
    content("<say-as type='digits'>12</say-as>", "\"one two\"");
    content("<sub alias='World Wide Web Consortium'>W3C</sub>!", "\"World Wide Web Consortium!\"");
    content("a <phoneme alphabet='ipa' ph='x'>to ma</phoneme> b", "\"a to ma/x/ b\"");
    content("<say-as interpret-as='x-mine'>12</say-as>", "\"12\"");
    content(
        "<say-as interpret-as='digits'>1<b>2</b><mark name='m'/>3</say-as>",
        "#m \"one two three\"",
    );
}

#[test]
fn section_3_2_3_emphasis_is_part_of_a_run() {
    content("I <emphasis>do</emphasis> mean", "\"I!Moderate  do!None  mean\"");
    content("<emphasis level='strong'>All</emphasis>", "\"!Strong All\"");
    content("<emphasis level='strong'> </emphasis>all", "\"all\"");
}

#[test]
fn section_3_2_4_breaks() {
    content("<break/><break time='2.5s'/><break time='80'/>", "~750 ~2500 ~80");
    content("<break strength='none'/><break time='0ms'/>a", "\"a\"");
    content("<break strength='x-strong'/><break time='+1S' strength='weak'/>", "~1250 ~1000");
    content("a<break time='soon'/>b", "\"a\" ~750 \"b\"");
    content("<break time='9999999s'/>", "~600000");
    assert_eq!(read("<speak>a<break time='soon' strength='mighty'/></speak>").notes.len(), 2);
}

#[test]
fn section_3_3_1_audio_with_fallback_description_and_clip() {
    content("<audio src=' a.wav '/>", "<a.wav>");
    content("<audio>Spoken</audio>", "\"Spoken\"");
    content(
        "<audio src='a'><audio src='b'>no <mark name='m'/>way</audio><break/></audio>",
        "<a else <b else \"no#m way\"> ~750>",
    );
    let document = read(
        "<speak xml:base='http://h/p/'><prosody rate='50%'><audio src='a.wav' clipBegin='1s' \
         clipEnd='2500ms' repeatCount='3' repeatDur='4s' soundLevel='-6dB' speed='150%' \
         fetchtimeout='2s'><desc xml:lang='en'>A <b>bell</b></desc></audio></prosody></speak>",
    );
    let Some(Segment::Audio(audio)) = document.segments.first() else { panic!("no audio") };
    assert_eq!(audio.src, "http://h/p/a.wav");
    assert_eq!(audio.description.as_deref(), Some("A bell"));
    assert_eq!(
        (audio.clip_begin.as_millis(), audio.clip_end),
        (1_000, Some(Duration::from_millis(2_500)))
    );
    assert_eq!((audio.repeat_count, audio.repeat_for), (3.0, Some(Duration::from_secs(4))));
    assert_eq!((audio.sound_level_db, audio.speed, audio.style.rate), (-6.0, 1.5, 0.5));
    assert_eq!(audio.fetch_timeout, Some(Duration::from_secs(2)));
    assert!(audio.fallback.is_empty());
}

#[test]
fn section_3_3_2_marks_at_the_edges_stand_outside_the_run() {
    content("<mark name='a'/>One <mark name='b'/> two<mark name='c'/>", "#a \"One#b two\" #c");
    content("<mark name='a'/><mark/>", "#a");
    content("a<mark name='m'/><prosody rate='slow'>b</prosody>", "\"a\" #m \"b\"");
}

#[test]
fn section_3_2_4_prosody_is_read_in_every_notation() {
    let rates = ["slow", "50%", "+10%", "-20%", "1.5", "150%", "9", "default"];
    let read: Vec<f32> = rates
        .iter()
        .map(|rate| styles(&format!("<prosody rate='{rate}'>x</prosody>"))[0].rate)
        .collect();
    assert_eq!(read, [0.75, 0.5, 1.1, 0.8, 1.5, 1.5, 2.0, 1.0]);
    let volumes = ["50", "100", "loud", "silent", "+6dB", "-3.5 dB", "-50%", "default"];
    let read: Vec<f32> = volumes
        .iter()
        .map(|v| styles(&format!("<prosody volume='{v}'>x</prosody>"))[0].volume_db.round())
        .collect();
    assert_eq!(read, [-6.0, 0.0, 3.0, -96.0, 6.0, -4.0, -6.0, 0.0]);
    let pitches: Vec<Pitch> = ["high", "120Hz", "+12st", "-10%"]
        .iter()
        .map(|pitch| styles(&format!("<prosody pitch='{pitch}'>x</prosody>"))[0].pitch)
        .collect();
    let wanted = [Pitch::Times(1.25), Pitch::Hertz(120.0), Pitch::Times(2.0), Pitch::Times(0.9)];
    assert_eq!(pitches, wanted);
    assert_eq!(styles("<prosody range='x-low'>x</prosody>")[0].range, 0.3);
    let nested = styles("<prosody rate='+10%'><prosody rate='+10%'>x</prosody></prosody>y");
    assert!((nested[0].rate - 1.21).abs() < 1e-6 && nested[1].rate == 1.0);
    let bad =
        read_notes("<prosody rate='quick' volume='NaN' pitch='5' contour='(0%,1Hz)'>x</prosody>");
    assert_eq!(bad, 4);
}

fn read_notes(content: &str) -> usize {
    read(&format!("<speak>{content}</speak>")).notes.len()
}

#[test]
fn the_sessions_prosody_is_what_the_documents_builds_on() {
    let style = Style { rate: 0.8, volume_db: -6.0, ..Style::default() };
    let defaults = Defaults { style, ..Defaults::default() };
    let text = "<speak>a<prosody rate='+25%' volume='default'>b</prosody><prosody rate='default' \
                volume='100'>c</prosody></speak>";
    let document = parse(text.as_bytes(), &defaults).expect("it is well-formed");
    let got: Vec<(f32, f32)> = document
        .segments
        .iter()
        .filter_map(|segment| match segment {
            Segment::Speech(run) => Some((run.style.rate, run.style.volume_db)),
            Segment::Silence(_) | Segment::Mark(_) | Segment::Audio(_) => None,
        })
        .collect();
    assert_eq!(got, [(0.8, -6.0), (1.0, -6.0), (0.8, 0.0)]);
}

#[test]
fn section_3_2_1_voices_and_languages_are_kept() {
    let styles = styles(
        "a<voice name='Ann Bob' gender='female' age='30' variant='2'>b</voice>\
         <voice xml:lang='fr'>c</voice><lang xml:lang='de-AT'>d</lang>\
         <voice languages='en-GB es'>e<voice gender='male'>f</voice></voice>",
    );
    assert_eq!(styles.len(), 6);
    let voice = &styles[1].voice;
    assert_eq!(voice.names, ["Ann Bob", "Ann", "Bob"]);
    assert_eq!((voice.gender, voice.age, voice.variant), (Some(Gender::Female), Some(30), Some(2)));
    assert_eq!([&styles[2].language, &styles[3].language], ["fr", "de-AT"]);
    assert_eq!(styles[4].voice.languages, ["en-GB", "es"]);
    assert_eq!((styles[5].voice.gender, styles[5].voice.languages.len()), (Some(Gender::Male), 0));
    assert_eq!(read_notes("<voice gender='purple' age='old' variant='0'>x</voice>"), 3);
}

#[test]
fn emphasis_goes_on_in_another_style() {
    content(
        "<emphasis>a <prosody rate='slow'>b</prosody></emphasis>c",
        "\"!Moderate a\" \"!Moderate b\" \"c\"",
    );
}

#[test]
fn a_sentence_before_another_voice_keeps_its_pause() {
    let document = read(
        "<speak>One. <voice name='x'>Two.</voice> <mark name='m'/>Three. <break/>Four.</speak>",
    );
    let joined: Vec<bool> = document
        .segments
        .iter()
        .filter_map(|segment| match segment {
            Segment::Speech(run) => Some(run.joined),
            Segment::Silence(_) | Segment::Mark(_) | Segment::Audio(_) => None,
        })
        .collect();
    assert_eq!(joined, [true, true, false, false]);
}

#[test]
fn text_is_taken_from_wherever_xml_may_hold_it() {
    content("a &amp; b &lt;c&gt; &#65;&#x42;&apos;", "\"a & b <c> AB'\"");
    content("x <![CDATA[1 < 2 & <b>]]> y", "\"x 1 < 2 & <b> y\"");
    content("a<!-- not this -->b<?nor this?>c", "\"abc\"");
    content("a&nbsp;b\n\t  c", "\"a b c\"");
    content("a&#1;b", "\"a b\"");
    content("<x-vendor:thing xmlns:x-vendor='u' odd='&lt;'>kept</x-vendor:thing>", "\"kept\"");
    content("<metadata><rdf>no</rdf></metadata><meta name='a' content='b'/>yes", "\"yes\"");
    content("... <voice name='x'>Hm</voice>.", "\"Hm\"");
}

#[test]
fn lexicons_are_listed_and_not_loaded() {
    let document = read(
        "<speak xml:base='http://h/a/b'><lexicon uri='x.pls' xml:id='l'/><lookup ref='l'>y</lookup>\
         </speak>",
    );
    assert_eq!(document.lexicons, ["http://h/a/x.pls"]);
    // That `lookup` is not followed is told.
    assert_eq!(document.notes.len(), 1);
    assert_eq!(shown(&document.segments), "\"y\"");
}

#[test]
fn every_encoding_is_read() {
    let text = "<?xml version='1.0' encoding='UTF-16'?><speak>Grüße</speak>";
    let little: Vec<u8> =
        [0xFEFF].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><speak>Gr\xFC\xDFe</speak>".to_vec();
    let wrong = b"<speak>Gr\xFC\xDFe</speak>".to_vec();
    for bytes in [little, big, latin, wrong, "<speak>Grüße</speak>".into()] {
        let document = parse(&bytes, &Defaults::default()).expect("it is readable");
        assert_eq!(shown(&document.segments), "\"Grüße\"");
    }
}

#[test]
fn what_is_not_well_formed_is_refused_with_its_line() {
    refused(b"", 1, "no element");
    refused(b"just text", 1, "outside the root");
    refused(b"<speak>\n<p>\nHello</speak>", 3, "");
    refused(b"<speak>\n\nHello", 3, "inside an element");
    refused(b"<speak>a</speak><speak>b</speak>", 1, "second root");
    refused(b"<speak>AT&T</speak>", 1, "");
    refused(b"<speak>\n&who;</speak>", 2, "entity");
    refused(b"<speak>&#0;</speak>", 1, "character reference");
    refused(b"<speak a='1' a='2'/>", 1, "attribute");
    refused(b"<?xml version='1.0' encoding='EBCDIC'?><speak/>", 1, "charset");
}

#[test]
fn no_entity_is_defined_or_fetched() {
    refused(
        b"<!DOCTYPE speak [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><speak>&b;</speak>",
        1,
        "entity",
    );
    refused(
        b"<!DOCTYPE speak [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><speak>&x;</speak>",
        1,
        "entity",
    );
}

#[test]
fn depth_size_and_pieces_are_bounded() {
    let deep = format!("{}x{}", "<p>".repeat(DEPTH_MAX + 1), "</p>".repeat(DEPTH_MAX + 1));
    refused(deep.as_bytes(), 1, "64 deep");
    refused(&vec![b' '; BYTES_MAX + 1], 1, "longer than");
    refused(
        format!("<speak>{}</speak>", "<mark name='a'/>x".repeat(20_000)).as_bytes(),
        1,
        "16,384 pieces",
    );
    let many = format!("<speak {}/>", (0..100).map(|n| format!("a{n}='' ")).collect::<String>());
    refused(many.as_bytes(), 1, "attributes");
    let noisy = format!("<speak>{}</speak>", "<break time='x'/>".repeat(1_000));
    assert_eq!(read(&noisy).notes.len(), ssml::NOTES_MAX);
}

#[test]
fn plain_text_has_paragraphs() {
    let document = plain("Dear  caller,\nhello.\r\n\r\n\n Bye.\u{1}\n", &Style::default());
    assert_eq!(shown(&document.segments), "\"Dear caller, hello.|p Bye.\"");
    assert!(plain(" \n ", &Style::default()).is_empty());
}

#[test]
fn the_words_are_never_printed() {
    let document = read(
        "<speak xml:lang='en-GB'>Your secret is <mark name='m'/><emphasis level='strong'>4711</emphasis>\
         <phoneme ph='x'>hush</phoneme><break/><prosody rate='slow'><audio src='http://h/a'>hush</audio></prosody>\
         <oops/></speak>",
    );
    let printed = format!("{document} {document:?}");
    for word in ["secret", "4711", "hush"] {
        assert!(!printed.contains(word), "{printed}");
    }
    assert_eq!(
        document.to_string(),
        "document en-GB\n  speech 4 words [en-GB] … mark \"m\" emphasis Strong … emphasis None …(ipa)\n  \
         silence 750 ms\n  audio http://h/a [en-GB rate 0.75] else\n    \
         speech 1 word [en-GB rate 0.75] …\n  note line 1: <oops> is not SSML; its content is spoken\n"
    );
    assert_eq!(Emphasis::default(), Emphasis::None);
}
