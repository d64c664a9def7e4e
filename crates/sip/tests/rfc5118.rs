//! The IPv6 torture messages of RFC 5118. Their Content-Length is that of the printed body: in three of
//! them the RFC's own number is left over from a draft with other addresses.

use std::fs;
use std::path::PathBuf;

use sip::Request;
use sip::admission::{Admitted, Framed, Rules, admit};
use sip::sdp::Sdp;

fn admitted(name: &str) -> Admitted {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("corpus/rfc5118/{name}.dat"));
    let bytes = fs::read(path).expect("the corpus is committed");
    let mut rules = Rules::default();
    rules.allowed_methods.push(sip::Method::Register);
    admit(&bytes, Framed::Datagram, &rules)
}

fn request(name: &str) -> Request {
    let request = match admitted(name) {
        Admitted::Request(request) => Some(request),
        Admitted::Response(_) | Admitted::Refuse(_) | Admitted::Drop(_) | Admitted::KeepAlive => {
            None
        }
    };
    request.expect(name)
}

/// What the Request-URI and the topmost Via are understood as.
#[track_caller]
fn check(name: &str, host: &str, port: Option<u16>, via: &str) {
    let request = request(name);
    let uri = request.uri.sip().expect("a SIP URI");
    assert_eq!((uri.host.to_string().as_str(), uri.port), (host, port), "{name}");
    let answered = request.headers.via().and_then(|via| via.answer_address());
    let answered = answered.map_or_else(|| "a name".to_owned(), |address| address.to_string());
    assert_eq!(answered, via, "{name}");
}

#[test]
fn section_4_ipv6_references_are_understood() {
    check("ipv6-good", "[2001:db8::10]", None, "[2001:db8::9:1]:5060");
    check("port-ambiguous", "[2001:db8::10:5070]", None, "[2001:db8::9:1]:5060");
    check("port-unambiguous", "[2001:db8::10]", Some(5070), "[2001:db8::9:1]:5060");
    check("via-received-param-with-delim", "[2001:db8::10]", None, "[2001:db8::9:255]:5060");
    check("via-received-param-no-delim", "[2001:db8::10]", None, "[2001:db8::9:255]:5060");
    check("ipv6-in-sdp", "[2001:db8::10]", None, "[2001:db8::20]:5060");
    check("mult-ip-in-header", "host.example.net", None, "[2001:db8::9:1]:6050");
    check("mult-ip-in-sdp", "[2001:db8::10]", None, "[2001:db8::9:1]:5060");
    check("ipv4-mapped-ipv6", "example.com", None, "[::ffff:192.0.2.10]:19823");
    check("ipv6-bug-abnf-3-colons", "[2001:db8::c000:201]", None, "a name");
    check("ipv6-correct-abnf-2-colons", "[2001:db8::c000:201]", None, "a name");
}

#[test]
fn section_4_2_an_address_without_brackets_is_refused() {
    let admitted = admitted("ipv6-bad");
    let Admitted::Refuse(refusal) = admitted else { panic!("{admitted:?}") };
    assert_eq!(refusal.response.status.number(), 400);
}

#[test]
fn section_4_8_each_media_line_may_have_its_own_family() {
    let addresses = |name: &str| -> Vec<String> {
        let sdp = Sdp::parse(&request(name).body).expect("valid by the RFC");
        let address = |media: &sip::sdp::Media| media.address.as_ref().map(ToString::to_string);
        sdp.media().iter().filter_map(address).collect()
    };
    assert_eq!(addresses("mult-ip-in-sdp"), ["192.0.2.1", "[2001:db8::1]"]);
    assert_eq!(addresses("ipv4-mapped-ipv6"), ["[::ffff:192.0.2.2]", "[::ffff:192.0.2.2]"]);
}
