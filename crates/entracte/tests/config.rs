//! Configurations as people write them, and everything that `check-config` says about them.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use entracte::config::{Interfaces, Layers, Location, Plan, Transport};

/// The configuration that the first release promised to take as it stands.
const PROMISED: &str = r#"
state_dir = "/tmp/entracte"
[general]
listen_interface = "127.0.0.1"      # "any", an interface name or an address
listen_address_type = "any"         # any | ip4 | ip6
[general.sip]
port = 6060
protocol = ["udp", "tcp"]
[general.mrcp]
port = 8104
max_sessions = 32
[audio.rtp]
port_ranges = ["16384-32767"]
interface = "127.0.0.1"
[external_audio]
enabled = true
[[external_audio.sources]]
name = "Radio"
uri = "http://127.0.0.1:8000/radio.mp3"
[[external_audio.sources]]
name = "Lobby"
uri = "file:/srv/audio/lobby.wav"   # a file or a folder (playlist), looped; one shared live position
[text_to_speech]
enabled = true
default_voice = "en-us"
[media]
roots = ["/srv/prompts"]            # file: URIs may name nothing outside these
"#;

/// A folder that is gone when the test is.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("entracte-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn machine() -> Interfaces {
    Interfaces::of(&[
        ("lo", "127.0.0.1".parse().unwrap()),
        ("lo", "::1".parse().unwrap()),
        ("docker0", "172.17.0.1".parse().unwrap()),
        ("eth0", "192.0.2.7".parse().unwrap()),
        ("eth0", "2001:db8::7".parse().unwrap()),
        ("eth0", "fe80::7".parse().unwrap()),
        ("eth1", "198.51.100.9".parse().unwrap()),
    ])
}

#[test]
fn the_promised_configuration_works_as_it_stands() {
    let folder = Folder::new("promised");
    let file = folder.write("entracte.toml", PROMISED);
    let layers = Layers { file: Some(file), ..Layers::default() };
    let plan = Plan::load_for(&layers, &machine()).unwrap();
    assert_eq!(plan.state_dir, Path::new("/tmp/entracte"));
    assert_eq!(plan.general.listen, ["127.0.0.1".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!((plan.general.sip.port, plan.general.mrcp.port), (6060, 8104));
    assert!(plan.general.sip.transports.iter().eq(&[Transport::Udp, Transport::Tcp]));
    assert_eq!(plan.general.mrcp.max_sessions, 32);
    assert_eq!(plan.audio.rtp.port_ranges.first().unwrap().pairs(), 8_192);
    assert_eq!(plan.audio.rtp.bind.ip4, Some("127.0.0.1".parse().unwrap()));
    assert_eq!(plan.audio.rtp.bind.ip6, None);
    let sources = &plan.external_audio.sources;
    assert_eq!(sources[0].location, Location::Stream("http://127.0.0.1:8000/radio.mp3".into()));
    assert_eq!(sources[1].location, Location::Path("/srv/audio/lobby.wav".into()));
    assert_eq!(plan.media.http_timeout, Duration::from_secs(10));
}

/// Reads `text` on [`machine`]; a line for each fault and, behind `warning: `, for each note, each
/// with its line and column.
fn judge(text: &str) -> String {
    judge_with(text, &[], &[])
}

fn judge_with(text: &str, environment: &[(&str, &str)], settings: &[&str]) -> String {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let folder = Folder::new(&format!("judge-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
    let file = folder.write("x.toml", text);
    let layers = Layers {
        file: Some(file.clone()),
        environment: environment.iter().map(|&(n, v)| (n.to_owned(), v.to_owned())).collect(),
        settings: settings.iter().map(|&each| each.to_owned()).collect(),
        ..Layers::default()
    };
    let mut lines = Vec::new();
    let notes = match Plan::load_for(&layers, &machine()) {
        Ok(plan) => plan.notes,
        Err(faults) => {
            lines.extend(faults.faults().iter().map(ToString::to_string));
            faults.notes().to_vec()
        }
    };
    lines.extend(notes.iter().map(|note| format!("warning: {note}")));
    lines.join("\n").replace(&format!("{}:", file.display()), "")
}

#[track_caller]
fn check(text: &str, said: &str) {
    assert_eq!(judge(text), said, "for {text}");
}

#[test]
fn every_fault_of_a_file_is_said_in_one_go() {
    let text =
        "state_dir = 'tmp'\n[general]\nlisten_interfase = 'any'\n[general.sip]\nport = 'x'\n";
    check(
        text,
        "1:13: state_dir: path \"tmp\" is not absolute; allowed: an absolute path\n\
         3:1: general.listen_interfase: unknown key; did you mean general.listen_interface?\n\
         5:8: general.sip.port: is text, must be a whole number; allowed: 0 to 65535",
    );
}

#[test]
fn what_is_not_toml_is_said_with_its_line_and_the_rest_is_read_on() {
    check(
        "[text_to_speech]\nenabled = yes\n[log]\nlevel = 'loud'\n",
        "2:11: not TOML: string values must be quoted, expected literal string\n\
         4:9: log.level: \"loud\" is not allowed; allowed: error, warn, info, debug, trace",
    );
    check("state_dir = '/a'\nstate_dir = '/b'", "2:1: not TOML: duplicate key");
}

#[test]
fn a_section_or_key_in_the_wrong_place_is_sent_to_the_right_one() {
    check("[sip]\nport = 1", "1:2: sip: unknown key; did you mean general.sip?");
    check("roots = ['/']", "1:1: roots: unknown key; did you mean media.roots?");
    check("colour = 1", "1:1: colour: unknown key");
    check("general = 1", "1:11: general: is a whole number, must be a table");
    check(
        "[[external_audio.sources]]\nname = 'a'\nuri = 'http://h/'\ngain = 1",
        "4:1: external_audio.sources[0].gain: unknown key; did you mean \
         external_audio.sources[].gain_db?",
    );
}

#[test]
fn interfaces_are_named_or_addressed_and_must_have_what_the_address_type_asks_for() {
    let known = "allowed: any, the name of a network interface, or an IP address";
    check(
        "general.listen_interface = 'eth7'",
        &format!(
            "1:28: general.listen_interface: no network interface is named \"eth7\" (there are: \
             docker0, eth0, eth1, lo); {known}"
        ),
    );
    check(
        "audio.rtp = { interface = 'eth1', address_type = 'ip4ip6' }",
        &format!(
            "1:27: audio.rtp.interface: interface \"eth1\" has no IPv6 address, which address \
             type \"ip4ip6\" needs; {known}"
        ),
    );
    check(
        "general = { listen_interface = '192.0.2.7', listen_address_type = 'ip6' }",
        &format!(
            "1:32: general.listen_interface: interface \"192.0.2.7\" has no IPv6 address, which \
             address type \"ip6\" needs; {known}"
        ),
    );
    check(
        "audio.rtp.interface = '203.0.113.1'",
        "warning: 1:23: audio.rtp.interface: no interface of this machine has 203.0.113.1",
    );
    check("audio.rtp = { interface = 'eth0', address_type = 'ip4ip6' }", "");
}

#[test]
fn any_listens_on_all_and_sends_from_one_that_others_reach() {
    let plan = Plan::load_for(&Layers::default(), &machine()).unwrap();
    let shown: Vec<String> = plan.general.listen.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["0.0.0.0", "::"]);
    let bind: Vec<String> = plan.audio.rtp.bind.iter().map(|each| each.to_string()).collect();
    assert_eq!(bind, ["192.0.2.7", "2001:db8::7"]);
    assert_eq!(plan.general.reachable, plan.audio.rtp.bind);
    let alone = Interfaces::of(&[("lo", "127.0.0.1".parse().unwrap())]);
    let plan = Plan::load_for(&Layers::default(), &alone).unwrap();
    assert_eq!(plan.general.listen.len(), 1);
    assert_eq!(plan.audio.rtp.bind.ip4, Some("127.0.0.1".parse().unwrap()));
}

#[test]
fn port_ranges_are_apart_and_hold_pairs() {
    let allowed = "allowed: ranges as \"16384-32767\", from 1 to 65535, apart from each other";
    check(
        "audio.rtp.port_ranges = ['1000-1999', '1500-2500', '7-7', '9-x', '5-4']",
        &format!(
            "1:39: audio.rtp.port_ranges[1]: range 1500-2499 overlaps range 1000-1999; {allowed}\n\
             1:52: audio.rtp.port_ranges[2]: range 7-7 holds no even port with the odd one above \
             it; {allowed}\n\
             1:59: audio.rtp.port_ranges[3]: \"9-x\" is not allowed; {allowed}\n\
             1:66: audio.rtp.port_ranges[4]: \"5-4\" is not allowed; {allowed}\n\
             warning: 1:39: audio.rtp.port_ranges[1]: range 1500-2500 is used as 1500-2499: pairs \
             start at an even port"
        ),
    );
    check(
        "audio.rtp.port_ranges = []",
        &format!("1:25: audio.rtp.port_ranges: is empty, needs at least one entry; {allowed}"),
    );
    check(
        "audio.rtp.port_ranges = ['15001-15500', '65535-65535']",
        &format!(
            "1:41: audio.rtp.port_ranges[1]: range 65535-65535 holds no even port with the odd one \
             above it; {allowed}\nwarning: 1:26: audio.rtp.port_ranges[0]: range 15001-15500 is \
             used as 15002-15499: pairs start at an even port"
        ),
    );
}

#[test]
fn services_do_not_share_a_port() {
    check(
        "general.mrcp.port = 6060",
        "1:21: general.mrcp.port: TCP port 6060 is also asked for by general.sip.port",
    );
    check("general = { mrcp.port = 6060, sip.protocol = ['udp'] }", "");
    check(
        "general.sip.port = 20000",
        "warning: 1:20: general.sip.port: port 20000 lies inside the RTP range 16384-32767",
    );
}

#[test]
fn sources_have_a_name_of_their_own_and_an_address_we_can_play() {
    let uris = "allowed: file:/absolute/path (a file or a folder), http://host/path, \
                https://host/path, rtp://address:port";
    for uri in [
        "ftp://h/x",
        "file:relative",
        "file://elsewhere/x",
        "http://",
        "http://a b/",
        "http://h:99999/",
        "rtp://studio:5004",
        "rtp://127.0.0.1:5004?encoding=opus",
        "x",
    ] {
        let text = format!("external_audio.sources = [{{ name = 'a', uri = '{uri}' }}]");
        let said = format!("1:47: external_audio.sources[0].uri: \"{uri}\" is not allowed; {uris}");
        check(&text, &said);
    }
    check(
        "[[external_audio.sources]]\nname = 'Äther'\nuri = 'http://h/'\n\
         [[external_audio.sources]]\nname = 'äTHER'\nuri = 'http://h/'\n\
         [[external_audio.sources]]\nname = ' '\n",
        "X5:8: external_audio.sources[1].name: \"Äther\" stands already at X2:8; allowed: names \
         that differ even when upper and lower case do not count\n\
         X7:1: external_audio.sources[2].uri: is missing\n\
         X8:8: external_audio.sources[2].name: \" \" is not allowed; allowed: 1 to 128 characters, \
         none of them a control character, no space at the ends"
            .replace('X', "")
            .as_str(),
    );
    check(
        "external_audio.sources = [{ name = 'a', uri = 'http://h/', device = 'line' }]",
        "1:69: external_audio.sources[0].device: cannot stand beside uri",
    );
    check(
        "external_audio.sources = [{ name = 'a', device = '' }]",
        "1:50: external_audio.sources[0].device: \"\" is not allowed; allowed: the name of a device \
         as \"entracte sources devices\" lists them",
    );
    for (key, value, allowed) in [
        ("start", "sometimes", "always, on-demand"),
        ("order", "random", "sorted, shuffled"),
        ("linger", "30", "a time of a day at most, as \"30s\" or \"5m\""),
        ("linger", "2d", "a time of a day at most, as \"30s\" or \"5m\""),
        ("loudness", "-20", "\"off\", or -40 to -10 LUFS, as \"-20 LUFS\""),
        ("loudness", "-5 LUFS", "\"off\", or -40 to -10 LUFS, as \"-20 LUFS\""),
        ("silence_after", "1ms", "\"off\", or a time from 1 s to a day, as \"10s\" or \"2m\""),
    ] {
        check(
            &format!(
                "[[external_audio.sources]]\nname = 'a'\nuri = 'http://h/'\n{key} = '{value}'"
            ),
            &format!(
                "4:{}: external_audio.sources[0].{key}: \"{value}\" is not allowed; allowed: {allowed}",
                key.len() + 4
            ),
        );
    }
    check(
        "external_audio.sources = [3]",
        "1:27: external_audio.sources[0]: is a whole number, must be a table",
    );
}

#[test]
fn numbers_marks_and_addresses_stay_in_their_ranges() {
    check("general.sip.dscp = 64", "1:20: general.sip.dscp: 64 is not allowed; allowed: 0 to 63");
    check(
        "audio.default_prosody_rate = 3",
        "1:30: audio.default_prosody_rate: 3 is not allowed; allowed: 0.5 to 2.0",
    );
    check("audio.default_prosody_volume = 50", "");
    check(
        "general.mrcp.max_sessions = 0",
        "1:29: general.mrcp.max_sessions: 0 is not allowed; allowed: 1 to 100000",
    );
    check(
        "audio.rtp.advertise = ['0.0.0.0']",
        "1:23: audio.rtp.advertise: [\"0.0.0.0\"] is not allowed; allowed: at most one IPv4 and \
         one IPv6 address, neither 0.0.0.0 nor ::",
    );
    check(
        "general.sip.advertise = 'not a host'",
        "1:25: general.sip.advertise: \"not a host\" is not allowed; allowed: a host name or an IP \
         address",
    );
    check(
        "media.allow_networks = ['10.0.0.0/8', '10.0.0.0/40']",
        "1:39: media.allow_networks[1]: \"10.0.0.0/40\" is not allowed; allowed: IP addresses and \
         ranges as 10.0.0.0/8 or fd00::/8",
    );
}

#[test]
fn the_environment_and_the_command_line_lie_over_the_file() {
    let environment = [
        ("ENTRACTE__GENERAL__SIP__PORT", "5070"),
        ("ENTRACTE__AUDIO__RTP__PORT_RANGES", "20000-20099, 30000-30099"),
        ("ENTRACTE__TEXT_TO_SPEECH__DEFAULT_VOICE", "de"),
        ("ENTRACTE__EXTERNAL_AUDIO__SOURCES", "[{name='x', uri='http://h/'}]"),
        ("ENTRACTELY", "not ours"),
    ];
    let layers = Layers {
        environment: environment.iter().map(|&(n, v)| (n.to_owned(), v.to_owned())).collect(),
        settings: vec!["general.sip.port=5080".into(), "log.format=json".into()],
        file: None,
        ..Layers::default()
    };
    let plan = Plan::load_for(&layers, &machine()).unwrap();
    assert_eq!(plan.general.sip.port, 5080);
    assert_eq!(plan.audio.rtp.port_ranges.len(), 2);
    assert_eq!(plan.text_to_speech.default_voice, "de");
    assert_eq!(plan.external_audio.sources.len(), 1);
}

#[test]
fn a_fault_outside_the_file_names_its_variable_or_argument() {
    assert_eq!(
        judge_with(
            "",
            &[("ENTRACTE__GENERAL__SIP__PROT", "1"), ("ENTRACTE__ENGINE__THREADS", "many")],
            &["log.level=loud", "nonsense"],
        ),
        "environment variable ENTRACTE__ENGINE__THREADS: engine.threads: is text, must be a whole \
         number; allowed: 0 to 64\n\
         environment variable ENTRACTE__GENERAL__SIP__PROT: general.sip.prot: unknown key; did you \
         mean general.sip.port?\n\
         argument --set log.level=loud: log.level: \"loud\" is not allowed; allowed: error, warn, \
         info, debug, trace\n\
         argument --set nonsense: not of the form KEY=VALUE"
    );
}

#[test]
fn files_of_conf_d_follow_in_the_order_of_their_names_and_sources_add_up() {
    let folder = Folder::new("conf-d");
    let file = folder.write(
        "entracte.toml",
        "log.level = 'warn'\n[[external_audio.sources]]\nname = 'a'\nuri = 'http://h/a'\n",
    );
    folder.write("conf.d/20.toml", "log.level = 'debug'\n");
    folder.write(
        "conf.d/10.toml",
        "log.level = 'error'\n[[external_audio.sources]]\nname = 'b'\nuri = 'http://h/b'\n",
    );
    folder.write("conf.d/30.txt", "this is not read");
    let layers = Layers { file: Some(file), ..Layers::default() };
    let plan = Plan::load_for(&layers, &machine()).unwrap();
    assert_eq!(plan.log.level, entracte::config::LogLevel::Debug);
    let names: Vec<&str> = plan.external_audio.sources.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn an_unreadable_file_is_one_fault() {
    let layers = Layers { file: Some("/nowhere/x.toml".into()), ..Layers::default() };
    let faults = Plan::load_for(&layers, &machine()).unwrap_err();
    assert_eq!(faults.faults().len(), 1);
    assert!(faults.to_string().starts_with("/nowhere/x.toml:1:1: cannot be read: "), "{faults}");
}

/// One provider of speech, its table's lines after the first.
fn provider(lines: &str) -> String {
    format!("[[text_to_speech.providers]]\n{lines}")
}

#[test]
fn folders_of_caches_and_messages_are_of_this_machine_and_below_its_root() {
    let fault = |text: &str| {
        let (file, text) = (Some("/x.toml".into()), Some(text.to_owned()));
        let layers = Layers { file, text, ..Layers::default() };
        Plan::load_for(&layers, &machine()).unwrap_err().to_string()
    };
    for (text, key) in [
        ("[audio]\nhttp_cache_directory = '//server/share'\n", "audio.http_cache_directory"),
        ("[audio]\nhttp_cache_directory = '\\\\server\\share'\n", "audio.http_cache_directory"),
        ("[audio]\nhttp_cache_directory = 'cache'\n", "audio.http_cache_directory"),
        ("[mail]\nroot = '/'\n", "mail.root"),
        ("[mail]\nroot = '/tmp/..'\n", "mail.root"),
        ("[mail]\nimap_timeout_seconds = 40000\n", "mail.imap_timeout_seconds"),
        ("[mail]\nimap_timeout_seconds = -2\n", "mail.imap_timeout_seconds"),
        ("[mail]\nstore_enabled = false\nlmtp_listen = ['127.0.0.1:24']\n", "mail.lmtp_listen"),
        (
            "[mail]\nlmtp_listen = ['127.0.0.1:24']\nimap_listen = ['127.0.0.1:24']\n",
            "mail.imap_listen",
        ),
        ("[[mail.servers]]\nname = 'a/b'\nhost = 'h'\n", "mail.servers[0].name"),
        ("[[mail.servers]]\nname = ''\nhost = 'h'\n", "mail.servers[0].name"),
        ("[hep]\naddress = 'collector'\n", "hep.address"),
        ("[traces]\nendpoint = 'ftp://x/'\n", "traces.endpoint"),
        ("[[webhooks]]\nuri = 'x'\n", "webhooks[0].uri"),
        ("[[webhooks]]\nuri = 'http://x/'\nevents = ['call.endet']\n", "webhooks[0].events"),
    ] {
        let told = fault(text);
        assert!(told.contains(key), "{text}: {told}");
    }
}

#[test]
fn a_provider_of_speech_says_what_it_lacks() {
    let voices = "voices = [{ id = 'a', language = 'en' }]";
    let web = "form = 'openai'\nuri = 'http://h/v1/audio/speech'";
    check(&provider(&format!("name = 'x'\n{web}\n{voices}")), "");
    check(
        &provider(&format!("name = 'my voice'\n{web}\n{voices}")),
        "2:8: text_to_speech.providers[0].name: \"my voice\" is not allowed; allowed: 1 to 128 \
         characters without spaces or \"/\"; not flite or espeak",
    );
    check(
        &provider(&format!("name = 'x'\nform = 'azure'\nuri = 'http://h/'\n{voices}")),
        "3:8: text_to_speech.providers[0].form: \"azure\" is not allowed; allowed: openai, piper, command",
    );
    check(
        &provider(&format!("name = 'x'\nform = 'piper'\nuri = 'ftp://h/'\n{voices}")),
        "4:7: text_to_speech.providers[0].uri: \"ftp://h/\" is not allowed; allowed: \
         http://host/path or https://host/path",
    );
    check(
        &provider(&format!("name = 'x'\nform = 'command'\n{voices}")),
        "1:1: text_to_speech.providers[0].program: is missing",
    );
    check(
        &provider(&format!("name = 'x'\n{web}\nfirst_audio = '2'\n{voices}")),
        "5:15: text_to_speech.providers[0].first_audio: \"2\" is not allowed; allowed: a time from \
         100 ms to a minute, as \"2s\" or \"500ms\"",
    );
    check(
        &provider(&format!("name = 'x'\n{web}\nvoices = [{{ id = 'a', gender = 'old' }}]")),
        "5:11: text_to_speech.providers[0].voices[0].language: is missing; allowed: a language, as \
         \"en-US\", or several\n\
         5:32: text_to_speech.providers[0].voices[0].gender: \"old\" is not allowed; allowed: \
         female, male, neutral",
    );
    check(
        "text_to_speech.built_in = ['flite', 'festival']",
        "1:37: text_to_speech.built_in[1]: \"festival\" is not allowed; allowed: flite, espeak; or [] \
         for none",
    );
    check(
        &provider(&format!("name = 'x'\n{web}\nraw_hz = 8000\n{voices}")),
        "5:10: text_to_speech.providers[0].raw_hz: means nothing to this form of provider",
    );
    let program = "form = 'command'\nprogram = 'sh'";
    check(
        &provider(&format!(
            "name = 'x'\n{program}\narguments = ['{{voise}}', '{{wav}}']\n{voices}"
        )),
        "5:14: text_to_speech.providers[0].arguments[0]: {voise} is not allowed; allowed: {voice}, \
         {language}, {wav}",
    );
    check(
        &provider(&format!("name = 'Espeak'\n{web}\n{voices}")),
        "2:8: text_to_speech.providers[0].name: \"Espeak\" is not allowed; allowed: 1 to 128 \
         characters without spaces or \"/\"; not flite or espeak",
    );
    check(
        &provider(&format!("name = 'x'\n{web}\nvoices = [{{ id = '', language = 'xx-!!' }}]")),
        "5:18: text_to_speech.providers[0].voices[0].id: \"\" is not allowed; allowed: what the \
         provider calls it, once each\n\
         5:33: text_to_speech.providers[0].voices[0].language: \"xx-!!\" is not allowed; allowed: a \
         language tag, as \"en-US\"",
    );
    check(
        &provider(
            "name = 'x'\nform = 'command'\nprogram = '/nonexistent/say'\nvoices = [{ id = 'a', language = 'en' }]",
        ),
        "warning: 4:11: text_to_speech.providers[0].program: \"/nonexistent/say\" does not exist (yet)",
    );
}
