//! Voice mail that is in the store and with a user's other mail: Exim takes the copies, Dovecot has them, and both sides agree on what
//! was read and deleted.

#![expect(clippy::indexing_slicing, reason = "whatever an answer lacks shall fail the test")]

use std::collections::BTreeMap;

use conformance::{Folder, Subject};
use serde_json::json;

use crate::mail_in_calls::{HEARD, sounds_like_the_tone, speak};
use crate::mail_over_tls::eventually;
use crate::mail_programs::{USER, deliver, letter, with_mail};
use crate::mail_servers::{Certificates, Dovecot, Exim};
use crate::mailboxes::{PATIENCE, done, get, send};

/// The messages of a folder of the store: by subject, the id and whether it was read.
fn here(subject: &Subject, folder: &str) -> BTreeMap<String, (String, bool)> {
    let listed = get(subject, &format!("/api/v1/mailboxes/{USER}/messages?folder={folder}")).json();
    let row = |row: &serde_json::Value| {
        let id = row["id"].as_str().unwrap().to_owned();
        (row["subject"].as_str().unwrap().to_owned(), (id, row["marks"]["read"] == true))
    };
    listed["messages"].as_array().unwrap().iter().map(row).collect()
}

/// The messages of the user's INBOX with Dovecot: by subject, the UID and whether it was read.
fn there(dovecot: &Dovecot) -> BTreeMap<String, (u32, bool)> {
    let mut line = dovecot.line();
    line.done("EXAMINE INBOX");
    let mut all = BTreeMap::new();
    for one in line.done("UID FETCH 1:* (UID FLAGS ENVELOPE)") {
        // These letters have no date.
        let Some((before, after)) = one.split_once("ENVELOPE (NIL \"") else { continue };
        let uid = before.split_once("UID ").unwrap().1.split(' ').next().unwrap().parse().unwrap();
        let subject = after.split('"').next().unwrap();
        all.insert(subject.to_owned(), (uid, before.contains("\\Seen")));
    }
    all
}

/// One command by the user, with the INBOX open.
fn by_user(dovecot: &Dovecot, commands: &[&str]) {
    let mut line = dovecot.line();
    line.done("SELECT INBOX");
    for command in commands {
        line.done(command);
    }
}

fn read_here(subject: &Subject, name: &str, is_read: bool) {
    let (id, _) = &here(subject, "inbox")[name];
    let path = format!("/api/v1/mailboxes/{USER}/messages/{id}");
    let done = send(subject, "PATCH", &path, &json!({ "read": is_read }));
    assert_eq!(done.status, 200, "{}", done.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_or_deleted_in_one_place_is_so_in_the_other_also_after_one_was_away() {
    let certificates = Certificates::make();
    let mut dovecot = Dovecot::with_tls(&certificates);
    let exim = Exim::before(&dovecot, &certificates);
    let folder = Folder::create();
    let to_relay = folder.write("smtp", "its own secret\n");
    let to_imap = folder.write("imap", "a service's own\n");
    let authority = certificates.authority();
    let subject = with_mail(&format!(
        "{HEARD}sender = \"voicemail@office.example\"\nagree_seconds = 1\n\
         [[mail.relays]]\nhost = \"127.0.0.1\"\nport = {}\nuser = \"entracte\"\npassword_file = {to_relay:?}\n\
         ca_file = {authority:?}\n[[mail.servers]]\nname = \"office\"\nhost = \"127.0.0.1\"\nport = {}\n\
         user = \"mediaserver\"\nauthorization_id = \"*\"\npassword_file = {to_imap:?}\nca_file = {authority:?}\n",
        exim.smtps, dovecot.imaps
    ));
    let shown =
        done(&subject, &["email", USER, "anna@elsewhere.example", "--agree-with", "office/anna"]);
    assert!(shown.contains("copy, then keep, agrees with office/anna"), "{shown}");
    for name in ["one", "two", "three"] {
        deliver(&subject, USER, &letter(name));
    }
    eventually("three copies", || (there(&dovecot).len() == 3).then_some(()));

    read_here(&subject, "one", true);
    eventually("read there", || there(&dovecot)["one"].1.then_some(()));
    let (two, _) = there(&dovecot)["two"];
    by_user(&dovecot, &[&format!("UID STORE {two} +FLAGS (\\Seen)")]);
    eventually("read here", || here(&subject, "inbox")["two"].1.then_some(()));
    read_here(&subject, "two", false);
    eventually("unread there", || (!there(&dovecot)["two"].1).then_some(()));

    // While the mail server is away the store answers, and what is done then is not lost.
    dovecot.go_away();
    let (id, _) = here(&subject, "inbox")["two"].clone();
    sounds_like_the_tone(&speak(&subject, &format!("fbmc:{USER}/{id};after=read")).await);
    eventually("it is marked", || here(&subject, "inbox")["two"].1.then_some(()));
    let (id, _) = here(&subject, "inbox")["one"].clone();
    let path = format!("/api/v1/mailboxes/{USER}/messages/{id}");
    let deleted = send(&subject, "PATCH", &path, &json!({ "folder": "deleted" }));
    assert_eq!(deleted.status, 200, "{}", deleted.text());
    deliver(&subject, USER, &letter("four"));
    let told = || get(&subject, "/api/v1/mail/sent-on").json()["agreement"].clone();
    eventually("it is told", || {
        let why = told()["last_fault"]["why"].as_str().unwrap_or_default().to_owned();
        why.contains(&format!("{USER}: ")).then_some(())
    });
    dovecot.come_back();
    let expected = [("four", false), ("three", false), ("two", true)];
    eventually("they agree again", || {
        let now = there(&dovecot);
        now.iter().map(|(name, (_, read))| (&**name, *read)).eq(expected).then_some(())
    });

    // Deleted there, it is in the folder of what was deleted; and it comes back when the user takes it out of the bin.
    let (three, _) = there(&dovecot)["three"];
    let keep = format!("UID COPY {three} Trash");
    let delete = format!("UID STORE {three} +FLAGS (\\Deleted)");
    by_user(&dovecot, &["CREATE Trash", &keep, &delete, &format!("UID EXPUNGE {three}")]);
    eventually("deleted here", || here(&subject, "deleted").contains_key("three").then_some(()));
    let mut line = dovecot.line();
    line.done("SELECT Trash");
    line.done("UID COPY 1 INBOX");
    eventually("restored here", || here(&subject, "inbox").contains_key("three").then_some(()));
    let names: Vec<String> = here(&subject, "inbox").into_keys().collect();
    assert_eq!(names, ["four", "three", "two"]);
    assert_eq!(told()["mailboxes"], 1);
    rules_that_cannot_be(&subject);
}

fn rules_that_cannot_be(subject: &Subject) {
    let wrong = send(
        subject,
        "PATCH",
        &format!("/api/v1/mailboxes/{USER}"),
        &json!({ "email": { "address": "a@b.example", "after": "delete", "agree_with": { "server": "office" } } }),
    );
    assert!(wrong.status == 422 && wrong.text().contains("after is keep"), "{}", wrong.text());
    let rule =
        json!({ "email": { "address": "a@b.example", "agree_with": { "server": "nowhere" } } });
    let wrong = send(subject, "PATCH", &format!("/api/v1/mailboxes/{USER}"), &rule);
    assert!(
        wrong.status == 422 && wrong.text().contains("mail.servers has no"),
        "{}",
        wrong.text()
    );
    let mut command = std::process::Command::new(conformance::entracte());
    command.args(["mailbox", "email", USER, "a@b.example", "--agree-with", "nowhere", "--config"]);
    let left = conformance::programs::run(command.arg(subject.config().unwrap()), PATIENCE);
    assert_eq!(left.status.code(), Some(1), "{}", left.err);
    assert!(left.err.contains("mail.servers has no nowhere; it has: office"), "{}", left.err);
}
