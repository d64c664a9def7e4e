use std::sync::Arc;

use super::*;
use crate::document::{Run, RunPiece, Style};

fn lexicon(attributes: &str, lexemes: &str) -> Lexicon {
    let text = format!("<lexicon version='1.0' {attributes}>{lexemes}</lexicon>");
    Lexicon::parse(text.as_bytes(), None).expect("it is well-formed")
}

/// `word=sound` is a phoneme, `word>text` an alias; lines divide lexemes.
fn listed(attributes: &str, lines: &str) -> Lexicon {
    let lexeme = |line: &str| match (line.split_once('='), line.split_once('>')) {
        (Some((word, ph)), _) => {
            format!("<lexeme><grapheme>{word}</grapheme><phoneme>{ph}</phoneme></lexeme>")
        }
        (None, Some((word, alias))) => {
            format!("<lexeme><grapheme>{word}</grapheme><alias>{alias}</alias></lexeme>")
        }
        (None, None) => String::new(),
    };
    let lexemes: String = lines.lines().map(lexeme).collect();
    lexicon(attributes, &lexemes)
}

fn run(text: &str, language: &str) -> Run {
    let style = Style { language: language.into(), ..Style::default() };
    Run { pieces: vec![RunPiece::Text(text.into())], style, joined: false }
}

/// Phonemes as `word/sound/`.
fn shown(run: &Run) -> String {
    run.pieces
        .iter()
        .map(|piece| match piece {
            RunPiece::Text(text) => text.clone(),
            RunPiece::Phoneme { ph, text, .. } => format!("{text}/{ph}/"),
            RunPiece::Mark(name) => format!("#{name}"),
            RunPiece::SentenceStart => "|s ".into(),
            RunPiece::ParagraphStart => "|p ".into(),
            RunPiece::Emphasis(level) => format!("!{level:?} "),
        })
        .collect()
}

#[track_caller]
fn check(lines: &str, text: &str, expected: &str) {
    assert_eq!(shown(&pronounce(&run(text, "en-US"), &[&listed("", lines)])), expected);
}

#[test]
fn whole_words_are_replaced_and_punctuation_stays() {
    check("Ann=x", "Ann, meet Anna and (Ann)!", "Ann/x/, meet Anna and (Ann/x/)!");
    check("W3C>World Wide Web Consortium", "The W3C.", "The World Wide Web Consortium.");
    check("a=x", "a a2 2a ba a", "a/x/ a2 2a ba a/x/");
    check("AT&amp;T>A T and T", "AT&T, AT&TX", "A T and T, AT&TX");
    check("St.>Saint", "St. Ann, St.Ann", "Saint Ann, St.Ann");
    check(".NET>dot net", "ASP.NET .NET", "ASP.NET dot net");
    check("caf=x", "cafe\u{301} caf\u{301} caf", "cafe\u{301} caf\u{301} caf/x/");
    check("É=x", "é Éa", "é/x/ Éa");
    check("", "nothing", "nothing");
}

#[test]
fn case_as_written_comes_first() {
    check("US>United States\nus=x", "US us Us", "United States us/x/ United States");
    check("polish=x", "Polish", "Polish/x/");
}

#[test]
fn the_longest_of_several_words_wins() {
    let lines = "New=a\nNew York=b\nNew  York City=c";
    check(lines, "New York City", "New York City/c/");
    check(lines, "New York, New Yorker, new york", "New York/b/, New/a/ Yorker, new york/b/");
    let long = format!("{}=x", ["w"; 9].join(" "));
    check(&long, &["w"; 9].join(" "), &["w"; 9].join(" "));
}

#[test]
fn pls_4_7_an_alias_is_looked_up_once_more() {
    check("W3C>Web Consortium\nWeb=x", "W3C", "Web/x/ Consortium");
    check("a>b\nb>c\nc>d", "a", "c");
    check("a>a a", "a", "a a a a");
    check("a>b\nb>a", "a b", "a b");
}

#[test]
fn pls_4_9_preference_and_order() {
    let read = lexicon(
        "alphabet='x-mine' xml:lang='en'",
        "<metadata><lexeme><grapheme>no</grapheme><alias>no</alias></lexeme></metadata>\
         <lexeme role='a:b'><grapheme>one</grapheme><grapheme>two<odd>no</odd></grapheme><odd/>\
         <phoneme>f</phoneme><alias prefer='true'>g</alias><phoneme prefer='true'>h</phoneme>\
         <example>no</example></lexeme>\
         <lexeme><grapheme>one</grapheme><phoneme>later</phoneme></lexeme>\
         <lexeme><grapheme>three</grapheme><phoneme alphabet='ipa'> &#x2C8;\n t<![CDATA[r]]></phoneme>\
         </lexeme><lexeme><grapheme>four</grapheme><phoneme> </phoneme></lexeme>\
         <lexeme><grapheme/><alias>nothing</alias></lexeme>",
    );
    let said = pronounce(&run("one two three four no", "en-GB"), &[&read]);
    assert_eq!(shown(&said), "g g three/ˈ tr/ four no");
    assert_eq!((read.language(), read.len()), (Some("en"), 3));
    let ipa =
        RunPiece::Phoneme { alphabet: "ipa".into(), ph: "ˈ tr".into(), text: "three".into() };
    assert!(said.pieces.contains(&ipa));
    let own =
        lexicon("alphabet='x-mine'", "<lexeme><grapheme>a</grapheme><phoneme>b</phoneme></lexeme>");
    let said = pronounce(&run("a", "fr"), &[Arc::new(own)]);
    let mine = RunPiece::Phoneme { alphabet: "x-mine".into(), ph: "b".into(), text: "a".into() };
    assert_eq!(said.pieces, [mine]);
}

#[test]
fn rfc_4647_section_3_3_1_the_language_must_fit() {
    for (of_lexicon, of_run, fits) in [
        ("en", "en-US", true),
        ("EN-us", "en-US", true),
        ("en-US", "en-US-x-a", true),
        ("en-US", "en", false),
        ("en-US", "en-GB", false),
        ("en", "eng", false),
        ("de", "en", false),
        ("", "sv", true),
    ] {
        let lexicon = listed(&format!("xml:lang='{of_lexicon}'"), "a=x");
        let said = shown(&pronounce(&run("a", of_run), &[&lexicon]));
        assert_eq!(said == "a/x/", fits, "{of_lexicon} {of_run}");
    }
}

#[test]
fn rfc_6787_section_8_4_17_the_first_lexicon_that_has_a_word_wins() {
    let (one, two) = (listed("", "a=1\nc=1"), listed("", "a=2\nb=2\nc d=2"));
    let said = pronounce(&run("a b c d", "en"), &[&one, &two]);
    assert_eq!(shown(&said), "a/1/ b/2/ c/1/ d");
}

#[test]
fn what_has_a_pronunciation_keeps_it_and_points_stay() {
    let own = RunPiece::Phoneme { alphabet: "ipa".into(), ph: "own".into(), text: "a".into() };
    let mut run = run("a ", "en");
    run.pieces.extend([RunPiece::Mark("m".into()), own, RunPiece::SentenceStart]);
    run.pieces.push(RunPiece::Text("b a".into()));
    let said = pronounce(&run, &[&listed("", "a=x")]);
    assert_eq!(shown(&said), "a/x/ #ma/own/|s b a/x/");
    assert_eq!(pronounce(&run, &[] as &[&Lexicon]), run);
}

#[test]
fn what_is_no_lexicon_is_refused_with_its_line() {
    for (text, line, what) in [
        ("", 1, "no element"),
        ("<speak/>", 1, "not lexicon"),
        ("<lexicon>\n<lexeme>", 2, "inside an element"),
        ("<lexicon>\n<lexeme></lexicon>", 2, ""),
        ("<lexicon/>\n<lexicon/>", 2, "second root"),
        ("<lexicon/>x", 1, "outside the root"),
        ("<lexicon>\n\n&who;</lexicon>", 3, "entity"),
        ("<lexicon>&#0;</lexicon>", 1, "character reference"),
        ("<?xml version='1.0' encoding='EBCDIC'?><lexicon/>", 1, "charset"),
    ] {
        let error = Lexicon::parse(text.as_bytes(), None).expect_err(text);
        assert_eq!(error.line, line, "{text} {error}");
        assert!(error.what.contains(what), "{text} {error}");
    }
    let latin = b"<lexicon><lexeme><grapheme>\xE9</grapheme><alias>e</alias></lexeme></lexicon>";
    let read = Lexicon::parse(latin, Some("iso-8859-1")).expect("it is readable");
    assert_eq!(shown(&pronounce(&run("é", "fr"), &[read])), "e");
}

#[test]
fn bytes_depth_and_entries_are_bounded() {
    let refused = |text: &str, what: &str| {
        let error = Lexicon::parse(text.as_bytes(), None).expect_err(what);
        assert!(error.what.contains(what), "{error}");
    };
    refused(&" ".repeat(BYTES_MAX + 1), "longer than");
    refused(&format!("<lexicon>{}", "<a>".repeat(DEPTH_MAX)), "64 deep");
    refused(&format!("<lexicon><lexeme>{}", "<grapheme/>".repeat(ENTRIES_MAX + 1)), "16,384");
}

#[test]
fn what_lexicons_add_is_bounded() {
    let greedy = listed("", &format!("a>{}", ["b"; 4_000].join(" ")));
    let said = pronounce(&run(&"a ".repeat(50_000), "en"), &[&greedy]);
    let bytes = said.text().len();
    assert!((ADDED_BYTES_MAX / 2..ADDED_BYTES_MAX + 200_000).contains(&bytes), "{bytes}");
}

/// Would take minutes if every word were compared with every grapheme.
#[test]
fn a_long_text_and_a_full_lexicon_take_linear_time() {
    let graphemes: String =
        (0..ENTRIES_MAX).map(|n| format!("<grapheme>a a a a a {n}</grapheme>")).collect();
    let full = lexicon("", &format!("<lexeme>{graphemes}<phoneme>x</phoneme></lexeme>"));
    assert_eq!(full.len(), ENTRIES_MAX);
    let said = pronounce(&run(&"a ".repeat(50_000), "en"), &[&full]);
    assert_eq!(said.pieces.len(), 1);
}

#[test]
fn the_words_are_never_printed() {
    let printed = format!("{:?}", listed("", "secret>hush\nother=sss"));
    for word in ["secret", "hush", "other", "sss"] {
        assert!(!printed.contains(word), "{printed}");
    }
}
