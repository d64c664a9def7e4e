//! Configurations as people write them, and everything that `check-config` says about them.

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
    assert_eq!(plan.general.temporary_directory, Path::new("/tmp/entracte/tmp"));
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
