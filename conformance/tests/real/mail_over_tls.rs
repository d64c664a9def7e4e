//! Mail servers that are reached with TLS: messages of Dovecot that are heard, and messages that Exim takes.

use std::path::Path;
use std::time::Duration;

use conformance::{Folder, Subject};

use crate::mail_in_calls::{HEARD, caller, sounds_like_the_tone, speak};
use crate::mail_programs::{USER, deliver, letter, with_mail};
use crate::mail_servers::{Certificates, Dovecot, Exim};
use crate::mailboxes::{PATIENCE, QUIET, done, get};

/// A server that plays from a mail server as its settings say.
fn player(port: u16, security: &str, authority: Option<&Path>) -> (Subject, Folder) {
    let folder = Folder::create();
    let password = folder.write("password", "a service's own\n");
    let authority = authority.map_or_else(String::new, |path| format!("ca_file = {path:?}\n"));
    let subject = Subject::own(&format!(
        "{QUIET}[mail]\n{HEARD}imap_answer_seconds = 3\n[[mail.servers]]\nname = \"office\"\nhost = \"127.0.0.1\"\n\
         port = {port}\nsecurity = \"{security}\"\nuser = \"mediaserver\"\nauthorization_id = \"*\"\n\
         password_file = {password:?}\n{authority}"
    ));
    (subject, folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_heard_from_dovecot_over_tls_and_starttls_and_from_nobody_unknown() {
    let certificates = Certificates::make();
    let dovecot = Dovecot::with_tls(&certificates);
    dovecot.has(&letter("one"));
    let authority = certificates.authority();
    let other = Certificates::make();
    let stranger = other.authority();
    let (imap, imaps) = (dovecot.imap, dovecot.imaps);
    for (port, security, trusted, expected) in [
        (imaps, "tls", Some(&*authority), None),
        (imap, "starttls", Some(&*authority), None),
        (imaps, "tls", None, Some(("tls", "mail.servers.ca_file"))),
        (imap, "starttls", Some(&*stranger), Some(("tls", "UnknownIssuer"))),
        // Each at the door of the other.
        (imap, "tls", Some(&*authority), Some(("tls", ""))),
        (imaps, "starttls", Some(&*authority), Some(("timeout", ""))),
    ] {
        let (player, _folder) = player(port, security, trusted);
        let ended = speak(&player, &format!("imap://anna@127.0.0.1:{port}/INBOX/;UID=1")).await;
        let Some((cause, reason)) = expected else {
            sounds_like_the_tone(&ended);
            continue;
        };
        assert_eq!(ended.uri_cause, cause, "{security} at {port}: {ended:?}");
        assert!(ended.reason.contains(reason), "{security}: {ended:?}");
    }
}

/// A token for somebody, which is over at some time; in seconds from now. RFC 7519.
fn token(secret: &str, user: &str, seconds: i64) -> String {
    let script = "import base64, hashlib, hmac, json, sys, time\n\
        b = lambda text: base64.urlsafe_b64encode(text).rstrip(b'=')\n\
        secret, user, seconds = sys.argv[1].encode(), sys.argv[2], int(sys.argv[3])\n\
        now = int(time.time())\n\
        claims = {'sub': user, 'iat': now - 60, 'nbf': now - 60, 'exp': now + seconds}\n\
        head = b(json.dumps({'alg': 'HS256', 'typ': 'JWT'}).encode()) + b'.' + b(json.dumps(claims).encode())\n\
        print((head + b'.' + b(hmac.new(secret, head, hashlib.sha256).digest())).decode())\n";
    let mut python = std::process::Command::new("python3");
    let left = conformance::programs::run(
        python.args(["-c", script, secret, user, &seconds.to_string()]),
        PATIENCE,
    );
    assert!(left.status.success(), "{}", left.err);
    left.out.trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn mai_02_an_account_logs_in_with_a_token_that_is_renewed_while_the_server_runs() {
    const SECRET: &str = "a secret of those who sign";
    for mechanisms in ["oauthbearer", "xoauth2"] {
        use base64::Engine as _;
        let key = base64::engine::general_purpose::STANDARD.encode(SECRET);
        let dovecot = Dovecot::with_tokens(&key, mechanisms);
        dovecot.has(&letter("one"));
        let folder = Folder::create();
        let file = folder.write("token", token(SECRET, "anna", -30));
        let port = dovecot.imap;
        let subject = Subject::own(&format!(
            "{QUIET}[mail]\n{HEARD}[[mail.servers]]\nname = \"office\"\nhost = \"127.0.0.1\"\nport = {port}\n\
             security = \"none\"\nuser = \"anna\"\nlogin = \"oauth\"\npassword_file = {file:?}\n"
        ));
        let uri = format!("imap://127.0.0.1:{port}/INBOX/;UID=1");
        let ended = speak(&subject, &uri).await;
        assert_eq!(ended.uri_cause, "login-refused", "{mechanisms}: {ended:?}");
        assert!(!ended.reason.contains("eyJ"), "the token is a secret: {ended:?}");
        std::fs::write(&file, token(SECRET, "anna", 600)).unwrap();
        // It is left alone for a moment after that.
        let mut caller = caller(&subject).await;
        let again = async {
            loop {
                let ended = caller.speak(&uri, None).await;
                if ended.uri_cause != "backed-off" {
                    return ended;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let ended = tokio::time::timeout(PATIENCE, again).await.expect("it is asked again");
        sounds_like_the_tone(&ended);
    }
}

/// A server whose messages go on through the relay.
fn sender(port: u16, security: &str, authority: &Path, password: &str) -> (Subject, Folder) {
    let folder = Folder::create();
    let password = folder.write("password", format!("{password}\n"));
    let subject = with_mail(&format!(
        "sender = \"voicemail@office.example\"\n[[mail.relays]]\nhost = \"127.0.0.1\"\nport = {port}\n\
         security = \"{security}\"\nuser = \"entracte\"\npassword_file = {password:?}\nca_file = {authority:?}\n"
    ));
    (subject, folder)
}

pub(crate) fn eventually<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let begun = entracte::clock::instant();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn exim_takes_messages_over_tls_and_starttls_from_those_who_log_in() {
    let certificates = Certificates::make();
    let exim = Exim::start(&certificates);
    let authority = certificates.authority();
    for (port, security, name) in [(exim.smtps, "tls", "tls"), (exim.smtp, "starttls", "starttls")]
    {
        let (subject, _folder) = sender(port, security, &authority, "its own secret");
        done(&subject, &["email", USER, &format!("{name}@elsewhere.example")]);
        deliver(&subject, USER, &letter("one"));
        let text = eventually("Exim was given nothing", || exim.mail_of(name));
        assert!(text.contains("Return-path: <voicemail@office.example>"), "{text}");
        // Exim writes its own lines above, and ends lines as files do.
        let whole = String::from_utf8(letter("one")).unwrap().replace("\r\n", "\n");
        assert!(text.contains("X-Entracte-Mailbox: ") && text.ends_with(&whole), "{text}");
        // Whom it does not have it refuses for good: the message is returned to its owner.
        done(&subject, &["email", USER, "nobody@elsewhere.example"]);
        deliver(&subject, USER, &letter("two"));
        let inbox = format!("/api/v1/mailboxes/{USER}/messages?folder=inbox");
        eventually("nothing is returned", || {
            get(&subject, &inbox).text().contains("Not delivered to nobody@").then_some(())
        });
    }
}

#[test]
fn a_relay_that_cannot_be_trusted_or_refuses_the_password_is_given_nothing_and_told_why() {
    let certificates = Certificates::make();
    let exim = Exim::start(&certificates);
    let (authority, other) = (certificates.authority(), Certificates::make());
    let stranger = other.authority();
    for (port, security, authority, password, why) in [
        (exim.smtps, "tls", &authority, "not the secret", "Incorrect authentication data"),
        (exim.smtps, "tls", &stranger, "its own secret", "mail.relays.ca_file"),
        (exim.smtp, "starttls", &stranger, "its own secret", "mail.relays.ca_file"),
        (exim.smtp, "none", &authority, "its own secret", "mail.relays.security"),
    ] {
        let (subject, _folder) = sender(port, security, authority, password);
        done(&subject, &["email", USER, "anna@elsewhere.example"]);
        deliver(&subject, USER, &letter("one"));
        eventually(&format!("{security}: nothing is told"), || {
            get(&subject, "/api/v1/mail/sent-on").text().contains(why).then_some(())
        });
        assert_eq!(exim.mail_of("anna"), None);
    }
}
