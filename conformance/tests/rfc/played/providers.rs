//! Who speaks, how it is pronounced, and what is kept of it.

use audio::wav::{self, Format};

use crate::call::Call;
use crate::played::bed::{Page, share, speaking, ssml, web};

/// A second of a tone of 440 Hz as a WAV file.
fn tone() -> Vec<u8> {
    let (mut tone, samples) = audio::tone::parse("440;ms=1000;db=-10").unwrap();
    let mut clip = vec![0; usize::try_from(samples).unwrap()];
    tone.fill(&mut clip);
    wav::to_bytes(Format::TELEPHONE, &clip)
}

/// A provider at this address, as a setting.
fn provider(name: &str, address: std::net::SocketAddr, path: &str) -> String {
    format!(
        "{{name='{name}', form='openai', format='wav', uri='http://{address}{path}', \
         first_audio='500ms', voices=[{{id='nova', language='en-US', gender='female'}}]}}"
    )
}

const ASKS: &str = "Vendor-Specific-Parameters: io.entracte.timing=true";

#[test]
fn a_service_speaks_and_who_asks_is_told_how_soon() {
    let address = web(vec![("/speech", Page::Body("audio/wav", tone()))]);
    let providers =
        format!("text_to_speech.providers=[{}]", provider("neural", address, "/speech"));
    let subject = speaking(&[&providers]);
    let mut call = Call::place(&subject);
    let begun = call.ask("SPEAK", &["Content-Type: text/plain", ASKS], b"Hello world.");
    assert_eq!(begun.what(), "200 IN-PROGRESS");
    let done = call.event();
    assert_eq!(done.get("Completion-Cause"), "000 normal", "{}", done.head);
    let told = done.get("Vendor-Specific-Parameters").to_owned();
    let (who, first_ms) = told.split_once(";io.entracte.first-audio-ms=").expect(&told);
    assert_eq!(who, "io.entracte.provider=neural;io.entracte.voice=nova");
    assert!((1..1_000).contains(&first_ms.parse::<u64>().unwrap()), "{told}");
    let sound = call.ear.audio();
    assert!(share(&sound[400..7_600], 440.0) > 0.9, "it is the service that is heard");
    // Another language, or a voice by name, is another provider's.
    call.ear.forget();
    let german = ["Content-Type: text/plain", ASKS, "Speech-Language: de-DE"];
    assert_eq!(call.ask("SPEAK", &german, b"Guten Tag.").what(), "200 IN-PROGRESS");
    let told = call.event();
    let told = told.get("Vendor-Specific-Parameters");
    assert!(told.starts_with("io.entracte.provider=espeak;io.entracte.voice=de;"), "{told}");
    let named = ["Content-Type: text/plain", ASKS, "Voice-Name: espeak"];
    assert_eq!(call.ask("SPEAK", &named, b"Hello.").what(), "200 IN-PROGRESS");
    let told = call.event();
    assert!(told.get("Vendor-Specific-Parameters").starts_with("io.entracte.provider=espeak;"));
    let seen = subject.running().services().first_audio.all();
    assert_eq!((seen["neural"].count, seen["espeak"].count), (1, 2));
    call.dialog.bye();
    subject.settles();
}

#[test]
fn rfc_3841_section_9_2_a_feature_tag_of_the_invite_prefers_a_provider() {
    let address = web(vec![("/speech", Page::Body("audio/wav", tone()))]);
    let second = provider("neural", address, "/speech").replace("{name", "{tags=['premium'], name");
    let providers =
        format!("text_to_speech.providers=[{}, {second}]", provider("plain", address, "/speech"));
    let subject = speaking(&[&providers]);
    for (tag, expected) in
        [("*;premium", "neural"), ("*;speech=\"espeak\"", "espeak"), ("*;something-else", "plain")]
    {
        let accept = format!("Accept-Contact: {tag}");
        let mut call = Call::place_with(&subject, &[&accept]);
        let headers = ["Content-Type: text/plain", ASKS, "Speech-Language: en-US"];
        assert_eq!(call.ask("SPEAK", &headers, b"Hello.").what(), "200 IN-PROGRESS");
        let done = call.event();
        let told = done.get("Vendor-Specific-Parameters");
        assert!(told.starts_with(&format!("io.entracte.provider={expected};")), "{tag}: {told}");
        // A voice that is asked for by name goes before.
        let named = ["Content-Type: text/plain", ASKS, "Voice-Name: en-us"];
        assert_eq!(call.ask("SPEAK", &named, b"Hello.").what(), "200 IN-PROGRESS");
        let told = call.event();
        let told = told.get("Vendor-Specific-Parameters");
        assert!(told.starts_with("io.entracte.provider=espeak;"), "{tag}: {told}");
        call.dialog.bye();
    }
    subject.settles();
}

#[test]
fn one_document_may_have_several_providers_voices_and_languages() {
    let address = web(vec![("/speech", Page::Body("audio/wav", tone()))]);
    let providers =
        format!("text_to_speech.providers=[{}]", provider("neural", address, "/speech"));
    let subject = speaking(&[&providers]);
    let mut call = Call::place(&subject);
    let text = "<voice name='neural'>Hello.</voice><mark name='m'/><s xml:lang='fr-FR'>Bonjour.</s>\
                <voice gender='female' languages='en'>Hello again.</voice>";
    call.ask("SPEAK", &["Content-Type: application/ssml+xml"], ssml(text).as_bytes());
    let mark = call.event();
    assert!(mark.get("Speech-Marker").ends_with(";m"), "{}", mark.head);
    let done = call.event();
    assert_eq!(done.get("Completion-Cause"), "000 normal", "{}", done.head);
    let sound = call.ear.audio();
    assert!(share(&sound[400..7_600], 440.0) > 0.9);
    assert!(share(&sound[8_400..11_000], 440.0) < 0.3, "French is another voice");
    let end = sound.len();
    assert!(share(&sound[end - 7_000..end - 400], 440.0) > 0.9);
    call.dialog.bye();
}

#[test]
fn when_services_fail_the_call_hears_another_voice_and_no_silence() {
    let address = web(vec![("/500", Page::Status(500)), ("/late", Page::Silence)]);
    let providers = format!(
        "text_to_speech.providers=[{}, {}]",
        provider("broken", address, "/500"),
        provider("late", address, "/late")
    );
    let subject = speaking(&[&providers]);
    let mut call = Call::place(&subject);
    call.ask("SPEAK", &["Content-Type: text/plain", ASKS], b"Hello world, how are you?");
    let done = call.event();
    assert_eq!(done.get("Completion-Cause"), "000 normal", "{}", done.head);
    let told = done.get("Vendor-Specific-Parameters").to_owned();
    assert!(told.starts_with("io.entracte.provider=espeak;"), "{told}");
    let whole = call.ear.audio().len();
    assert!(whole > 8_000, "{whole} samples");
    // The next text waits for none of them.
    call.ask("SPEAK", &["Content-Type: text/plain", ASKS], b"Hello world, how are you?");
    let told = call.event();
    let told = told.get("Vendor-Specific-Parameters");
    let first_ms = told.rsplit('=').next().unwrap().parse::<u64>().unwrap();
    assert!(first_ms < 500, "{told}");
    call.dialog.bye();
}

#[test]
fn without_another_provider_the_reason_is_in_the_answer() {
    let address = web(vec![("/500", Page::Status(500))]);
    let providers = format!("text_to_speech.providers=[{}]", provider("broken", address, "/500"));
    let subject = speaking(&[&providers, "text_to_speech.built_in=[]"]);
    let mut call = Call::place(&subject);
    let done = call.spoken("text/plain", "Hello.");
    assert_eq!(done.get("Completion-Cause"), "004 error", "{}", done.head);
    assert!(done.get("Completion-Reason").contains("it answers 500"), "{}", done.head);
    call.dialog.bye();
}

const LEXICON: &str = "<?xml version=\"1.0\"?><lexicon version=\"1.0\" alphabet=\"ipa\" \
    xml:lang=\"en-US\" xmlns=\"http://www.w3.org/2005/01/pronunciation-lexicon\">\
    <lexeme><grapheme>W3C</grapheme><alias>the World Wide Web Consortium in this place</alias>\
    </lexeme><lexeme><grapheme>tomato</grapheme><phoneme>təˈmɑːtəʊ</phoneme></lexeme></lexicon>";

#[test]
fn section_8_14_a_lexicon_says_how_words_are_pronounced() {
    let address = web(vec![
        ("/a.pls", Page::Body("application/pls+xml", LEXICON.into())),
        ("/broken.pls", Page::Body("application/pls+xml", b"<lexicon><lexeme>".to_vec())),
    ]);
    let subject = speaking(&["media.allow_networks=['127.0.0.1']"]);
    let mut call = Call::place(&subject);
    let length = |call: &mut Call, headers: &[&str], body: &str| {
        call.ear.forget();
        let begun = call.ask("SPEAK", headers, body.as_bytes());
        assert_eq!(begun.what(), "200 IN-PROGRESS", "{}", begun.head);
        let done = call.event();
        (done.get("Completion-Cause").to_owned(), call.ear.audio())
    };
    let text = ["Content-Type: text/plain"];
    let (_, plain) = length(&mut call, &text, "Ask W3C.");
    let (_, tomato) = length(&mut call, &text, "tomato");
    // By URI, for the whole session.
    let list = format!("http://{address}/a.pls\r\n");
    let loaded = call.ask("DEFINE-LEXICON", &["Content-Type: text/uri-list"], list.as_bytes());
    assert_eq!(loaded.what(), "200 COMPLETE", "{}", loaded.head);
    let (cause, longer) = length(&mut call, &text, "Ask W3C.");
    assert_eq!(cause, "000 normal");
    assert!(longer.len() > plain.len() * 3 / 2, "{} and {}", longer.len(), plain.len());
    let (_, british) = length(&mut call, &text, "tomato");
    assert!(british.len().abs_diff(tomato.len()) > 80, "the phonemes are used");
    // Unloaded, the words are spoken as they are.
    let unload = ["Content-Type: text/uri-list", "Load-Lexicon: false"];
    assert_eq!(call.ask("DEFINE-LEXICON", &unload, list.as_bytes()).what(), "200 COMPLETE");
    let (_, again) = length(&mut call, &text, "Ask W3C.");
    assert!(again.len().abs_diff(plain.len()) < 400);
    // By the document itself.
    let marked = ["Content-Type: application/ssml+xml"];
    let own = ssml(&format!("<lexicon uri=\"http://{address}/a.pls\"/>Ask W3C."));
    let (_, longer) = length(&mut call, &marked, &own);
    assert!(longer.len() > plain.len() * 3 / 2);
    // In the body, with a name of its own.
    let inline = ["Content-Type: application/pls+xml", "Content-ID: <names@example.org>"];
    assert_eq!(call.ask("DEFINE-LEXICON", &inline, LEXICON.as_bytes()).what(), "200 COMPLETE");
    let (_, longer) = length(&mut call, &text, "Ask W3C.");
    assert!(longer.len() > plain.len() * 3 / 2);
    let broken = ["Content-Type: application/pls+xml", "Content-ID: <broken@example.org>"];
    let refused = call.ask("DEFINE-LEXICON", &broken, b"<lexicon><lexeme>");
    assert_eq!(refused.what(), "407 COMPLETE", "{}", refused.head);
    assert_eq!(refused.get("Completion-Cause"), "006 lexicon-load-failure");
    // What cannot be had or read is said.
    for (path, cause) in [("nowhere.pls", "404"), ("broken.pls", "parse-failure")] {
        let uri = format!("http://{address}/{path}");
        let refused = call.ask("DEFINE-LEXICON", &["Content-Type: text/uri-list"], uri.as_bytes());
        assert_eq!(refused.what(), "407 COMPLETE", "{}", refused.head);
        assert_eq!(refused.get("Completion-Cause"), "006 lexicon-load-failure");
        assert_eq!((refused.get("Failed-URI"), refused.get("Failed-URI-Cause")), (&*uri, cause));
        let named = ssml(&format!("<lexicon uri=\"{uri}\"/>Ask W3C."));
        let (cause, _) = length(&mut call, &marked, &named);
        assert_eq!(cause, "006 lexicon-load-failure");
    }
    call.dialog.bye();
    subject.settles();
}

#[test]
fn what_is_spoken_is_written_down_only_while_files_are_kept() {
    for keep in [false, true] {
        let folder = conformance::Folder::create();
        let place = format!("general.temporary_directory={}", folder.path().display());
        // A process that was killed left this; no process has such a number.
        folder.write("entracte-passing-4194305-1-1-speech.wav", "RIFF");
        let kept = format!("general.keep_temporary_files={keep}");
        let subject = speaking(&[&place, &kept]);
        let mut call = Call::place(&subject);
        let done = call.spoken("text/plain", "Hello world.");
        assert_eq!(done.get("Completion-Cause"), "000 normal");
        let heard = call.ear.audio();
        call.dialog.bye();
        subject.settles();
        drop(subject);
        let files: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()).collect();
        if !keep {
            assert!(files.is_empty(), "{files:?}");
            continue;
        }
        assert_eq!(files.len(), 1, "{files:?}");
        let wavs = files.iter().filter_map(|path| {
            let bytes = std::fs::read(path).unwrap();
            wav::read(&bytes).ok().map(|wav| wav.samples().len())
        });
        let length = wavs.max().unwrap();
        assert!(length.abs_diff(heard.len()) < 400, "{length} and {}", heard.len());
    }
}

#[test]
fn english_is_spoken_by_flite_where_it_is_and_the_rest_by_espeak() {
    conformance::entracte();
    let subject = speaking(&["text_to_speech.built_in=['flite', 'espeak']"]);
    let mut call = Call::place(&subject);
    for (headers, text, expected) in [
        (vec![], "Hello world.", "flite;io.entracte.voice=slt"),
        (vec!["Voice-Gender: male"], "Hello world.", "flite;io.entracte.voice=rms"),
        (vec!["Speech-Language: en-GB"], "Hello world.", "flite;io.entracte.voice=awb"),
        (vec!["Speech-Language: de"], "Guten Tag.", "espeak;io.entracte.voice=de"),
        (vec!["Voice-Name: en-us"], "Hello world.", "espeak;io.entracte.voice=en-us"),
    ] {
        let mut all = vec!["Content-Type: text/plain", ASKS];
        all.extend(headers);
        call.ear.forget();
        assert_eq!(call.ask("SPEAK", &all, text.as_bytes()).what(), "200 IN-PROGRESS");
        let done = call.event();
        let told = done.get("Vendor-Specific-Parameters");
        let wanted = format!("io.entracte.provider={expected};");
        assert!(told.starts_with(&wanted), "{wanted} but {told}");
        assert!(audio::measure::rms_dbfs(&call.ear.audio()) > -35.0);
    }
    call.dialog.bye();
    subject.settles();
}
