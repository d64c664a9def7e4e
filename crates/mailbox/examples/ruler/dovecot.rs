//! Dovecot with a configuration of its own, and the client that delivers to it.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;

use crate::figures::processor_ms;
use crate::{Outcome, audio};

/// Who the mail belongs to; nobody else does.
const USER: u32 = 12_345;

/// Installs what is missing.
pub(crate) fn install() -> Outcome {
    let wanted = [
        ("/usr/sbin/dovecot", "dovecot-core"),
        ("/usr/lib/dovecot/lmtp", "dovecot-lmtpd"),
        ("/usr/lib/dovecot/imap", "dovecot-imapd"),
        ("/usr/bin/strace", "strace"),
    ];
    let missing: Vec<_> =
        wanted.iter().filter(|(file, _)| !Path::new(file).exists()).map(|(_, name)| name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing {missing:?}");
    let apt = |words: &[&str]| Command::new("apt-get").args(words).stdout(Stdio::null()).status();
    apt(&["-qq", "update"])?;
    let done = Command::new("apt-get")
        .args(["-qq", "install", "--yes", "--no-install-recommends"])
        .args(&missing)
        .stdout(Stdio::null())
        .status()?;
    if done.success() { Ok(()) } else { Err("apt-get could not install it".into()) }
}

/// A Dovecot that runs. It is stopped when this is dropped.
#[derive(Debug)]
pub(crate) struct Dovecot {
    child: Child,
    folder: PathBuf,
}

impl Dovecot {
    /// Begins it with its mail below `folder`; behind a command, if one is given.
    pub(crate) fn begin(folder: &Path, before: &[&str]) -> Outcome<Self> {
        fs::create_dir_all(folder.join("mail"))?;
        // What is below a temporary folder is closed to others.
        for path in folder.ancestors().take(2) {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(path, mode)?;
        }
        std::os::unix::fs::chown(folder.join("mail"), Some(USER), Some(USER))?;
        let file = folder.join("dovecot.conf");
        fs::write(&file, configuration(folder))?;
        let words = [before, &["/usr/sbin/dovecot", "-F", "-c"]].concat();
        let Some((program, words)) = words.split_first() else { return Err("no command".into()) };
        let mut child = Command::new(program).args(words).arg(&file).spawn()?;
        for _ in 0..200 {
            if folder.join("run/master.pid").exists() && lmtp(folder).is_ok() {
                return Ok(Self { child, folder: folder.to_owned() });
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        // Only what we began.
        let _ = child.kill();
        let _ = child.wait();
        let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
        Err(format!("Dovecot does not answer: {log}").into())
    }

    fn master(&self) -> Option<u32> {
        fs::read_to_string(self.folder.join("run/master.pid")).ok()?.trim().parse().ok()
    }

    /// Processor time of all its processes, in ms.
    pub(crate) fn processor_ms(&self) -> f64 {
        let Some(master) = self.master() else { return 0.0 };
        let children = format!("/proc/{master}/task/{master}/children");
        let children = fs::read_to_string(children).unwrap_or_default();
        let children = children.split(' ').filter_map(|child| child.trim().parse().ok());
        processor_ms(master) + children.map(processor_ms).sum::<f64>()
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        // Its own process stops all others; one before it ends with it.
        let master = self.master().unwrap_or_else(|| self.child.id());
        let _ = Command::new("kill").arg(master.to_string()).status();
        for _ in 0..200 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configuration(folder: &Path) -> String {
    let at = folder.display();
    format!(
        "base_dir = {at}/run\nstate_dir = {at}/state\nlog_path = {at}/log\n\
         protocols = lmtp imap\nssl = no\ndisable_plaintext_auth = no\n\
         mail_location = sdbox:{at}/mail/%u\nmail_fsync = always\n\
         first_valid_uid = {USER}\nfirst_valid_gid = {USER}\n\
         passdb {{\n  driver = static\n  args = password=secret\n}}\n\
         userdb {{\n  driver = static\n  args = uid={USER} gid={USER} home={at}/mail/%u allow_all_users=yes\n}}\n\
         service lmtp {{\n  process_min_avail = 2\n  unix_listener lmtp {{\n    mode = 0600\n  }}\n}}\n\
         service imap-login {{\n  inet_listener imap {{\n    port = 0\n  }}\n  inet_listener imaps {{\n    port = 0\n  }}\n}}\n"
    )
}

fn lmtp(folder: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(folder.join("run/lmtp"))
}

/// The message as it goes over LMTP, RFC 2033: a voice message of RFC 3801 with its sound in base64.
pub(crate) fn message() -> String {
    let sound = base64::engine::general_purpose::STANDARD.encode(audio());
    let mut text = String::from(
        "From: \"A caller\" <+4930123456@example.com>\r\nTo: <somebody@example.com>\r\n\
         Date: Fri, 20 Nov 2026 09:00:00 +0000\r\nMessage-ID: <ruler@example.com>\r\n\
         Subject: Voice message\r\nMIME-Version: 1.0\r\nMessage-Context: voice-message\r\n\
         Content-Duration: 30\r\n\
         Content-Type: multipart/voice-message; version=2.0; boundary=\"ruler\"\r\n\r\n\
         --ruler\r\nContent-Type: text/plain\r\n\r\nA voice message of 30 seconds.\r\n\
         --ruler\r\nContent-Type: audio/gsm\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: inline; voice=Voice-Message; filename=\"voice.gsm\"\r\n\r\n",
    );
    let mut rest = sound.as_str();
    while let Some((line, after)) = rest.split_at_checked(76.min(rest.len()))
        && !line.is_empty()
    {
        let _ = write!(text, "{line}\r\n");
        rest = after;
    }
    text.push_str("--ruler--\r\n.\r\n");
    text
}

/// A connection that delivers.
#[derive(Debug)]
pub(crate) struct Client {
    to: UnixStream,
    from: BufReader<UnixStream>,
}

impl Client {
    pub(crate) fn connect(folder: &Path) -> Outcome<Self> {
        let to = lmtp(folder)?;
        let mut client = Self { from: BufReader::new(to.try_clone()?), to };
        client.answer("220")?;
        client.say("LHLO ruler\r\n", "250")?;
        Ok(client)
    }

    fn say(&mut self, what: &str, wanted: &str) -> Outcome {
        self.to.write_all(what.as_bytes())?;
        self.answer(wanted)
    }

    fn answer(&mut self, wanted: &str) -> Outcome {
        loop {
            let mut line = String::new();
            self.from.read_line(&mut line)?;
            if !line.starts_with(wanted) {
                return Err(format!("Dovecot says {line:?} and not {wanted}").into());
            }
            // A line with a hyphen after the code is followed by another.
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(());
            }
        }
    }

    /// Delivers one message: when it returns, Dovecot has acknowledged it.
    pub(crate) fn deliver(&mut self, mailbox: &str, message: &str) -> Outcome {
        self.say("MAIL FROM:<caller@example.com>\r\n", "250")?;
        self.say(&format!("RCPT TO:<{mailbox}>\r\n"), "250")?;
        self.say("DATA\r\n", "354")?;
        self.say(message, "250")
    }
}
