//! The pages, in a real browser.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests of real programs: whatever is not as it should be shall fail them"
)]

mod bed;
mod mail;

use std::net::UdpSocket;
use std::time::Duration;

use bed::{Browser, PATIENCE, with_browser};
use conformance::Subject;
use conformance::rig::offer;
use entracte::client::Phone;
use entracte::client::ear::Ear;

/// A file that plays, by its real path: a URI may not climb.
fn music() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/sources/assets/hold-music.wav");
    std::fs::canonicalize(path).unwrap().display().to_string()
}

fn settings() -> String {
    format!(
        "[text_to_speech]\nenabled = false\n[external_audio]\n[[external_audio.sources]]\n\
         name = \"Music\"\nuri = \"file:{}\"\n[[external_audio.sources]]\nname = \"Gone\"\n\
         uri = \"http://127.0.0.1:9/radio\"\n",
        music()
    )
}

/// Goes by the one-time link, and is an administrator.
async fn first_run(browser: &Browser, link: &str) {
    browser.open_link(link).await;
    browser.fill("user", "ada").await;
    browser.fill("password", "correct horse").await;
    browser.fill("again", "correct horse").await;
    browser.press_button("Create the account").await;
    browser.wait("header form").await;
}

/// A server whose pages somebody has come in to.
async fn walk<F: Future<Output = ()>>(walk: impl FnOnce(Browser, Subject) -> F) {
    let mut subject = Subject::own(&settings());
    let link = subject.setup_link();
    let (base, _) = link.split_once("/setup").unwrap();
    with_browser(base, async |browser| {
        first_run(&browser, &link).await;
        walk(browser, subject).await;
    })
    .await;
}

/// Every page that is reached by the menu.
const PAGES: &[&str] = &[
    "/overview",
    "/status/about",
    "/status/server",
    "/status/engine",
    "/status/sources",
    "/status/voices",
    "/events",
    "/diagnostics",
    "/captures",
    "/mailboxes",
    "/config/general",
    "/config/audio",
    "/config/mail",
    "/config/external-audio",
    "/config/text-to-speech",
    "/administration",
    "/config/server",
    "/config/history",
    "/help/troubleshooting",
    "/help/glossary",
    "/help/operating",
    "/help/api",
];

/// What a page costs: time is printed, and size is held to what a telephone's line takes.
async fn costs(browser: &Browser, page: &str) {
    let told = browser
        .script(
            "const n = performance.getEntriesByType('navigation')[0];\
             return [n.responseEnd, n.domInteractive, n.domContentLoadedEventEnd, n.encodedBodySize,\
             performance.getEntriesByType('resource').length]",
        )
        .await;
    let told: Vec<f64> = serde_json::from_value(told).unwrap();
    let [answered, interactive, ready, bytes, requests] = told[..] else { panic!("{told:?}") };
    println!(
        "{page}: {bytes} bytes, {requests} more requests; answered {answered} ms, interactive {interactive} ms, ready {ready} ms"
    );
    assert!(bytes < 65_536.0 && requests <= 8.0, "{page}: {told:?}");
}

#[tokio::test]
async fn every_page_is_accessible_in_light_and_dark_and_on_a_phone() {
    walk(async |browser, _subject| {
        browser.open("/overview").await;
        let menu = browser
            .script("return [...document.querySelectorAll('body > nav a')].map(a => a.pathname)")
            .await;
        assert_eq!(menu, serde_json::json!(PAGES), "the menu has other pages than are walked");
        let _ = browser.console().await;
        for page in PAGES {
            browser.open(page).await;
            browser.wait("main h1").await;
            costs(&browser, page).await;
            for (scheme, width) in [("light", 1280), ("dark", 1280), ("light", 390)] {
                browser.scheme(scheme).await;
                browser.width(width).await;
                browser.check_accessible(&format!("{page} {scheme} {width}")).await;
                browser.picture(&format!("{page}-{scheme}-{width}")).await;
            }
        }
        assert_eq!(browser.console().await, Vec::<serde_json::Value>::new());
    })
    .await;
}

#[tokio::test]
async fn the_first_run_leads_through_addresses_features_and_a_tone() {
    walk(async |browser, subject| {
        assert_eq!(browser.path().await, "/welcome/1");
        browser.until_text("peers are told to send media to 127.0.0.1").await;
        browser.check_accessible("welcome 1").await;
        browser.picture("welcome-1").await;
        browser.fill("general.sip.advertise", "media.example").await;
        browser.press_button("Look at the change").await;
        browser.press_button("Apply").await;
        browser.until_text("Waits for a restart: general.sip.advertise").await;
        browser.press_button("Back").await;
        browser.press_button("Next").await;
        browser.wait("[name='text_to_speech.enabled']").await;
        browser.check_accessible("welcome 2").await;
        browser.press_button("Next").await;
        browser.wait("audio").await;
        browser.script("document.querySelector('audio').play()").await;
        browser
            .until("the tone plays", "return document.querySelector('audio').currentTime > 0.3")
            .await;
        browser.check_accessible("welcome 3").await;
        browser.press_button("Done").await;
        browser.wait("#calls").await;
        let file = std::fs::read_to_string(subject.config().unwrap()).unwrap();
        assert!(file.contains("advertise = \"media.example\""), "{file}");
    })
    .await;
}

#[tokio::test]
async fn a_call_appears_and_ends_by_itself_and_its_details_are_shown() {
    walk(async |browser, subject| {
        browser.open("/status/server").await;
        browser.until("live", "return document.getElementById('conn').textContent === 'Live'").await;
        browser.script("window.same = 1; document.querySelector('.scroll').focus()").await;
        let phone = Phone::open(subject.sip, None).await.unwrap();
        let rtp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let target = format!("sip:Music@{}", subject.sip);
        let begun = entracte::clock::instant();
        let answer = phone.call(&target, offer(rtp.local_addr().unwrap(), &[])).await.unwrap();
        browser.wait("tr[id^=call-]").await;
        println!("from the INVITE to the row: {:?}", begun.elapsed());
        browser.press("tr[id^=call-] a").await;
        browser.until_text("Local RTP Mode").await;
        let fact = |name: &str| {
            format!(
                "return [...document.querySelectorAll('dt')].find(t => t.textContent === '{name}')\
                 .nextElementSibling.textContent.trim()"
            )
        };
        let own = rtp.local_addr().unwrap();
        assert_eq!(browser.script(&fact("Remote RTP Port")).await, own.port().to_string());
        assert_eq!(browser.script(&fact("Current State")).await, "connected");
        browser
            .until("packets go on", "return +[...document.querySelectorAll('dt')].find(t => t.textContent === 'Packets sent').nextElementSibling.textContent > 100")
            .await;
        browser.check_accessible("session").await;
        browser.picture("session").await;
        browser.press("dd a[href^='/status/resources/']").await;
        browser.until_text("play source:Music").await;
        browser.check_accessible("resource").await;
        browser.picture("resource").await;
        let xml = browser
            .script("const r = new XMLHttpRequest(); r.open('GET', document.querySelector('a[href$=\".xml\"]').href, false); r.send(); return r.responseXML.documentElement.getAttribute('operation')")
            .await;
        assert_eq!(xml, "source");
        browser.open("/status/server").await;
        browser.wait("tr[id^=call-]").await;
        phone.hang_up(answer).await;
        browser.until("the row goes", "return !document.querySelector('tr[id^=call-]')").await;
    })
    .await;
}

/// A source can be tried before it is there, and the host's devices are listed.
async fn try_sources(browser: &Browser) {
    browser.press("fieldset[id='external_audio.sources[1]'] button[hx-post]").await;
    browser.until_text("Connection refused").await;
    browser.fill("external_audio.sources[1].uri", &format!("file:{}", music())).await;
    browser.press("fieldset[id='external_audio.sources[1]'] button[hx-post]").await;
    browser.until_text("It is heard.").await;
    browser.check_accessible("tried").await;
    browser.picture("config-tried").await;
    browser.press("details summary").await;
    browser.until_text("no sound server").await;
}

/// What is wrong is told at its field, and above them all.
async fn fill_wrong(browser: &Browser) {
    browser.fill("external_audio.sources[2].name", "music").await;
    browser.fill("external_audio.sources[2].uri", "ftp://h/x").await;
    browser.fill("external_audio.sources[2].gain_db", "much").await;
    browser.press_button("Look at the change").await;
    browser.until_text("Wrong are 3 values").await;
    for key in ["name", "uri", "gain_db"] {
        browser.wait(&format!("[id='error-external_audio.sources[2].{key}']")).await;
    }
    browser.check_accessible("faults").await;
    browser.picture("config-faults").await;
}

#[tokio::test]
async fn complaint_04_a_source_is_made_changed_heard_and_taken_back_on_the_page() {
    walk(async |browser, subject| {
        // A call that hears the source that will change.
        let phone = Phone::open(subject.sip, None).await.unwrap();
        let rtp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let target = format!("sip:Gone@{}", subject.sip);
        let answer = phone.call(&target, offer(rtp.local_addr().unwrap(), &[])).await.unwrap();
        browser.open("/config/external-audio").await;
        fill_wrong(&browser).await;
        try_sources(&browser).await;
        // The dead one gets a file, and a third one comes; an emptied number is the default again.
        browser.fill("external_audio.sources[2].gain_db", "").await;
        browser.fill("external_audio.sources[1].uri", &format!("file:{}", music())).await;
        browser.fill("external_audio.sources[2].name", "Third <b>").await;
        browser.fill("external_audio.sources[2].uri", &format!("file:{}", music())).await;
        browser.choose("external_audio.sources[2].start", "on-demand").await;
        browser.press_button("Look at the change").await;
        browser.until_text("This would change").await;
        browser.check_accessible("review").await;
        browser.picture("config-review").await;
        browser.press_button("Apply").await;
        browser.until_text("These are the settings now").await;
        let file = std::fs::read_to_string(subject.config().unwrap()).unwrap();
        assert!(file.contains("name = \"Third <b>\""), "{file}");
        browser.open("/status/sources").await;
        browser
            .until("three sources", "return document.querySelectorAll('.cards > li').length === 3")
            .await;
        browser
            .until(
                "the changed one plays",
                "return document.querySelectorAll('.cards > li')[1].innerText.includes('playing')",
            )
            .await;
        // The call was not dropped, and hears it.
        browser.until_text("by 1").await;
        // It is heard in the browser: sound that was decoded, and time that goes on.
        browser.script("document.querySelectorAll('audio')[1].play()").await;
        browser
            .until("it plays", "return document.querySelectorAll('audio')[1].currentTime > 1")
            .await;
        browser
            .until(
                "two listen",
                "return document.querySelectorAll('.cards > li')[1].innerText.includes('by 2')",
            )
            .await;
        let decoded = browser
            .script("return document.querySelectorAll('audio')[1].webkitAudioDecodedByteCount")
            .await;
        assert!(decoded.as_u64() > Some(1_000), "{decoded}");
        browser.script("document.querySelectorAll('audio')[1].pause()").await;
        // And all of it is taken back.
        browser.open("/config/history").await;
        browser.picture("history").await;
        browser.press("tbody tr:nth-child(2) a").await;
        browser.until_text("Go back to these").await;
        browser.press_button("Go back to these").await;
        browser.until_text("These are the settings now").await;
        browser.open("/status/sources").await;
        browser
            .until("two again", "return document.querySelectorAll('.cards > li').length === 2")
            .await;
        // Whoever came in is still in.
        browser.open("/config/history").await;
        browser.until_text("restored").await;
        phone.hang_up(answer).await;
    })
    .await;
}

#[tokio::test]
async fn complaint_24_a_voice_is_heard_with_its_latency_provider_and_cache_on_the_waveform() {
    let mut subject = Subject::own("");
    let link = subject.setup_link();
    let (base, _) = link.split_once("/setup").unwrap();
    with_browser(base, async |browser| {
        first_run(&browser, &link).await;
        browser.open("/status/voices").await;
        let first =
            browser.script("return document.querySelector('[data-voice]').dataset.voice").await;
        assert_eq!(first, "flite/slt", "the preferred provider's voices come first");
        for words in ["spoken now", "from the cache"] {
            browser.press("[data-voice]").await;
            browser.until_text(words).await;
        }
        let caption = browser.script("return document.querySelector('figcaption').innerText").await;
        let caption = caption.as_str().unwrap();
        assert!(caption.contains("flite, voice slt: first sound after"), "{caption}");
        browser
            .until(
                "it is heard",
                "return document.querySelector('#preview audio').currentTime > 0.2",
            )
            .await;
        browser
            .until(
                "a wave is drawn",
                "return document.querySelector('.wave polygon').points.numberOfItems > 100",
            )
            .await;
        browser.check_accessible("preview").await;
        browser.picture("voices-preview").await;
        // A rate that is none is told, and not spoken at another.
        browser.fill("rate", "fast").await;
        browser.press_button("Speak").await;
        browser.until_text("the rate is a number").await;
        browser.open("/status/voices?q=espeak").await;
        let whose = "return [...new Set([...document.querySelectorAll('[data-voice]')]\
                     .map(b => b.dataset.voice.split('/')[0]))]";
        assert_eq!(browser.script(whose).await, serde_json::json!(["espeak"]));
    })
    .await;
}

#[tokio::test]
async fn accounts_and_tokens_are_made_changed_and_removed() {
    walk(async |browser, subject| {
        browser.open("/administration").await;
        browser.fill("user", "vera").await;
        browser.choose("role", "viewer").await;
        browser.fill("password", "battery staple").await;
        browser.fill("again", "battery stapler").await;
        browser.press_button("Add").await;
        browser.until_text("The two passwords differ.").await;
        browser.fill("user", "vera").await;
        browser.fill("password", "battery staple").await;
        browser.fill("again", "battery staple").await;
        browser.press_button("Add").await;
        browser.until_text("vera may come in as viewer.").await;
        browser.press("[aria-label='Remove ada']").await;
        browser.until_text("This is the last administrator.").await;
        browser.fill("name", "grafana").await;
        browser.press_button("Make").await;
        browser.until_text("shown this once").await;
        browser.check_accessible("token").await;
        browser.picture("administration").await;
        let secret = browser.script("return document.querySelector('pre').innerText").await;
        let file = std::fs::read_to_string(subject.config().unwrap()).unwrap();
        assert!(!file.contains(secret.as_str().unwrap()) && !file.contains("battery"), "{file}");
        // A new password ends the session that began with the old one.
        browser.fill("old_password", "correct horse").await;
        browser.fill("new_user", "adele").await;
        browser.fill("new_password", "correct horses").await;
        browser.fill("confirm", "correct horses").await;
        browser.press("form[action='/administration/account'] button").await;
        browser.until_text("The account is changed.").await;
        browser.open("/administration").await;
        browser.wait("input[name=password]").await;
        browser.fill("user", "adele").await;
        browser.fill("password", "correct horses").await;
        browser.press_button("Log in").await;
        browser.wait("[aria-label='Remove vera']").await;
        browser.press("[aria-label='Remove vera']").await;
        browser.until_text("vera may not come in any more.").await;
        browser.open("/events?q=adele").await;
        browser.until_text("settings changed").await;
    })
    .await;
}

#[tokio::test]
async fn who_logs_out_is_out_and_the_page_says_when_the_server_is_gone() {
    walk(async |browser, subject| {
        browser.open("/overview").await;
        browser
            .until("live", "return document.getElementById('conn').textContent === 'Live'")
            .await;
        browser.press_button("Log out").await;
        browser.wait("input[name=password]").await;
        browser.open("/config/general").await;
        assert_eq!(browser.path().await, "/login");
        browser.fill("user", "ada").await;
        browser.fill("password", "wrong horse").await;
        browser.press_button("Log in").await;
        browser.wait("[role=alert]").await;
        browser.check_accessible("login").await;
        browser.picture("login").await;
        browser.fill("user", "ada").await;
        browser.fill("password", "correct horse").await;
        browser.press_button("Log in").await;
        // Back to where they wanted to go.
        browser.wait("header form").await;
        assert_eq!(browser.path().await, "/config/general");
        browser.open("/").await;
        assert_eq!(browser.path().await, "/status/about");
        // Nothing lives on this page, and nothing says that it would.
        let gone = "return document.getElementById('conn') === null";
        browser.until("no word of a connection", gone).await;
        browser.open("/overview").await;
        browser
            .until("live", "return document.getElementById('conn').textContent === 'Live'")
            .await;
        subject.signal(rustix::process::Signal::TERM);
        let begun = entracte::clock::instant();
        let (status, _) =
            tokio::task::spawn_blocking(move || subject.wait(PATIENCE)).await.unwrap();
        assert_eq!(status.code(), Some(0));
        println!("ended with a live page open in {:?}", begun.elapsed());
        assert!(begun.elapsed() < Duration::from_secs(20));
        browser.until_text("Connection lost").await;
    })
    .await;
}

#[tokio::test]
async fn a_capture_is_begun_fetched_and_deleted_and_help_is_a_click_away() {
    walk(async |browser, subject| {
        let phone = Phone::open(subject.sip, None).await.unwrap();
        browser.open("/captures").await;
        browser.fill("session", "7").await;
        browser.press_button("Begin").await;
        browser.until_text("there is no session 7").await;
        browser.fill("session", "").await;
        browser.fill("seconds", "600").await;
        browser.press_button("Begin").await;
        browser.until_text("runs").await;
        let ear = Ear::open(subject.sip, None).await.unwrap();
        let target = format!("sip:nobody@{}", subject.sip);
        assert!(phone.call(&target, offer(ear.local(), &[])).await.is_err());
        browser.press_button("Stop").await;
        browser
            .until(
                "it is over",
                "return fetch('/api/v1/captures').then(a => a.json()).then(all => !all.some(one => one.running))",
            )
            .await;
        browser.open("/captures").await;
        let head = browser
            .script(
                "return fetch(document.querySelector('td a').href).then(a => a.arrayBuffer())\
                 .then(b => [...new Uint8Array(b).slice(0, 4), b.byteLength])",
            )
            .await;
        assert_eq!(head.as_array().unwrap()[..4], [0x4d, 0x3c, 0xb2, 0xa1], "nanosecond pcap");
        assert!(head[4].as_u64() > Some(500), "{head}");
        browser.press_button("Delete").await;
        browser.until_text("There is none.").await;
        browser.open("/help/api").await;
        browser.until_text("/api/v1/captures/{name}/stop").await;
        let operations = browser
            .script("return fetch('/api/v1/openapi.json').then(a => a.json()).then(d => Object.keys(d.paths).length)")
            .await;
        assert!(operations.as_u64() > Some(20), "{operations}");
    })
    .await;
}
