//! Pure crates name nothing that reads a clock, opens anything, or waits.

use super::Complaint;
use super::files::{Files, before_tests};
use super::layers::{Kind, Layers};

/// What a pure crate may not name. Addresses and `std::io::Read` are values and traits: they may.
const BANNED: [&str; 18] = [
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "std::fs",
    "std::thread",
    "std::process",
    "std::env",
    "std::io::stdin",
    "std::io::stdout",
    "std::sync::mpsc",
    ".lock()",
    "Instant::now",
    "SystemTime",
    "tokio",
    "async fn",
    ".await",
    "getrandom",
];

pub(super) fn complaints(files: &Files, layers: &Layers) -> Vec<Complaint> {
    layers.of_kind(Kind::Pure).flat_map(|name| of_crate(files, name)).collect()
}

fn of_crate(files: &Files, name: &str) -> Vec<Complaint> {
    let folder = format!("crates/{name}/src/");
    let mut complaints = Vec::new();
    for (path, text) in files.ending(".rs") {
        // A file that is a test module as a whole stands beside the code it tests.
        if !path.starts_with(&folder) || path.ends_with("/tests.rs") || path.contains("/tests/") {
            continue;
        }
        for (number, line) in before_tests(text) {
            let code = line.split("//").next().unwrap_or("");
            for word in BANNED.iter().filter(|word| code.contains(**word)) {
                let what = format!("{word} in the pure crate {name}: a shell does this");
                complaints.push(Complaint::new(path, number, what));
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_in_a_pure_crate_is_found_and_one_in_its_tests_is_not() {
        let said = |text| of_crate(&Files::of(&[("crates/sip/src/a.rs", text)]), "sip").len();
        assert_eq!(said("let now = Instant::now();"), 1);
        assert_eq!(said("// Instant::now would be wrong here"), 0);
        assert_eq!(said("#[cfg(test)]\nmod tests { std::fs::read(x) }"), 0);
        assert_eq!(said("use std::net::SocketAddr;"), 0);
    }
}
