//! Mail servers of others, each of a test's own: Dovecot, which has messages, and Exim, which takes them.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use conformance::Folder;
use conformance::programs::run;

use crate::mail_programs::Line;
use crate::mailboxes::PATIENCE;

/// Who the mail belongs to; nobody else does.
const OWNER: u32 = 12_346;

/// An authority, and what it says of the server at 127.0.0.1.
pub(crate) struct Certificates {
    folder: Folder,
}

impl Certificates {
    pub(crate) fn make() -> Self {
        let folder = open_to_all();
        let at = |name: &str| folder.path().join(name);
        let begin = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
        let openssl = |more: &[&str], key: &str, certificate: &str| {
            let mut command = Command::new("openssl");
            command.args(begin).args(["-nodes", "-days", "2"]).args(more);
            command.arg("-keyout").arg(at(key)).arg("-out").arg(at(certificate));
            let left = run(&mut command, PATIENCE);
            assert!(left.status.success(), "{}", left.err);
        };
        // Each has a name of its own.
        let name =
            format!("/CN=Authority {}", folder.path().display().to_string().replace('/', " "));
        openssl(&["-subj", &name], "ca.key", "ca.pem");
        let (authority, key) = (at("ca.pem"), at("ca.key"));
        let (authority, key) = (authority.display().to_string(), key.display().to_string());
        let more = [
            "-subj",
            "/CN=mail.example",
            "-CA",
            &authority,
            "-CAkey",
            &key,
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ];
        openssl(&more, "server.key", "server.pem");
        // The servers read it as somebody else.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        fs::set_permissions(at("server.key"), open).unwrap();
        Self { folder }
    }

    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn server(&self) -> (PathBuf, PathBuf) {
        (self.folder.path().join("server.pem"), self.folder.path().join("server.key"))
    }
}

/// A folder that servers enter as somebody else.
fn open_to_all() -> Folder {
    let folder = Folder::create();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(folder.path(), open).unwrap();
    folder
}

fn mail_folder(folder: &Path) {
    fs::create_dir(folder.join("mail")).unwrap();
    std::os::unix::fs::chown(folder.join("mail"), Some(OWNER), Some(OWNER)).unwrap();
}

fn free() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn wait_for(what: &str, ports: &[u16], log: impl Fn() -> String) {
    for _ in 0..400 {
        if ports.iter().all(|&port| TcpStream::connect(("127.0.0.1", port)).is_ok()) {
            return;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    unreachable!("{what} does not answer: {}", log());
}

/// A Dovecot. It ends with this.
pub(crate) struct Dovecot {
    child: Option<Child>,
    folder: Folder,
    pub(crate) imap: u16,
    /// With TLS from the first byte; 0 where it has no certificate.
    pub(crate) imaps: u16,
}

impl Dovecot {
    /// Without TLS.
    pub(crate) fn start() -> Self {
        Self::with("ssl = no\ndisable_plaintext_auth = no\n", 0)
    }

    /// Nobody logs in without TLS.
    pub(crate) fn with_tls(certificates: &Certificates) -> Self {
        let (certificate, key) = certificates.server();
        let (certificate, key) = (certificate.display(), key.display());
        Self::with(
            &format!("ssl = required\nssl_cert = <{certificate}\nssl_key = <{key}\n"),
            free(),
        )
    }

    /// Its user logs in with a token that is signed with this secret (RFC 7519, HS256), by these mechanisms.
    pub(crate) fn with_tokens(secret: &str, mechanisms: &str) -> Self {
        let folder = open_to_all();
        let keys = folder.path().join("keys/default/HS256");
        fs::create_dir_all(&keys).unwrap();
        fs::write(keys.join("default"), secret).unwrap();
        let shown = folder.path().display();
        let oauth = folder.write(
            "oauth2.conf",
            format!(
                "introspection_mode = local\nlocal_validation_key_dict = fs:posix:prefix={shown}/keys/\n\
                 username_attribute = sub\n"
            ),
        );
        let oauth = oauth.display();
        let settings = format!(
            "ssl = no\ndisable_plaintext_auth = no\nauth_mechanisms = {mechanisms}\n\
             passdb {{\n  driver = oauth2\n  mechanisms = {mechanisms}\n  args = {oauth}\n}}\n"
        );
        Self::within(folder, &settings, 0)
    }

    fn with(security: &str, imaps: u16) -> Self {
        Self::within(open_to_all(), security, imaps)
    }

    fn within(folder: Folder, security: &str, imaps: u16) -> Self {
        mail_folder(folder.path());
        let imap = free();
        let shown = folder.path().display();
        // A master user may act for others, as a service does. Passwords are those of the test.
        let masters = folder.write("masters", "mediaserver:{PLAIN}a service's own\n");
        let config = folder.write(
            "dovecot.conf",
            format!(
                "base_dir = {shown}/run\nstate_dir = {shown}/state\nlog_path = {shown}/log\n\
                 protocols = imap\n{security}auth_master_user_separator = *\n\
                 mail_location = maildir:{shown}/mail/%u\nfirst_valid_uid = {OWNER}\nfirst_valid_gid = {OWNER}\n\
                 auth_cache_size = 0\nauth_failure_delay = 0\n\
                 passdb {{\n  driver = passwd-file\n  args = {masters}\n  master = yes\n  pass = yes\n}}\n\
                 passdb {{\n  driver = static\n  args = password=secret\n}}\n\
                 userdb {{\n  driver = static\n  args = uid={OWNER} gid={OWNER} home={shown}/mail/%u allow_all_users=yes\n}}\n\
                 service imap-login {{\n  inet_listener imap {{\n    address = 127.0.0.1\n    port = {imap}\n  }}\n  \
                 inet_listener imaps {{\n    address = 127.0.0.1\n    port = {imaps}\n    ssl = yes\n  }}\n}}\n",
                masters = masters.display(),
            ),
        );
        let dovecot = Self { child: Some(begin(&config)), folder, imap, imaps };
        dovecot.wait();
        dovecot
    }

    fn wait(&self) {
        let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let ports = [self.imap, self.imaps].into_iter().filter(|port| *port != 0);
        wait_for("Dovecot", &ports.collect::<Vec<_>>(), log);
    }

    /// It is away, until [`Self::come_back`].
    pub(crate) fn go_away(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Asked to end, those that speak TLS with a client go on for half a minute. All are children of its first process.
            let first = child.id().to_string();
            let of = format!("/proc/{first}/task/{first}/children");
            let all = fs::read_to_string(of).unwrap_or_default();
            let all = all.split_whitespace().chain([&*first]);
            let _ = Command::new("kill").arg("-KILL").args(all).status();
            let _ = child.wait();
        }
    }

    pub(crate) fn come_back(&mut self) {
        self.child = Some(begin(&self.folder.path().join("dovecot.conf")));
        self.wait();
    }

    /// A connection of the user, without TLS.
    pub(crate) fn line(&self) -> Line {
        let mut line = Line::to(SocketAddr::from(([127, 0, 0, 1], self.imap)));
        line.until("* OK");
        line.done("LOGIN anna secret");
        line
    }

    pub(crate) fn append(&self, message: &[u8]) {
        let mut line = self.line();
        line.say(format!("a APPEND INBOX {{{}}}\r\n", message.len()).as_bytes());
        line.until("+ ");
        line.say(message);
        line.say(b"\r\n");
        line.until("a OK");
    }

    fn inbox(&self) -> PathBuf {
        self.folder.path().join("mail/anna")
    }

    /// Makes the user's INBOX, to which others may add.
    fn make_inbox(&self) {
        for name in ["", "cur", "new", "tmp"] {
            let path = self.inbox().join(name);
            fs::create_dir_all(&path).unwrap();
            std::os::unix::fs::chown(&path, Some(OWNER), Some(OWNER)).unwrap();
            let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
            fs::set_permissions(&path, open).unwrap();
        }
    }

    /// Puts a message into the user's INBOX without a connection.
    pub(crate) fn has(&self, message: &[u8]) {
        self.make_inbox();
        let file = self.inbox().join("new/1.a.test");
        fs::write(&file, message).unwrap();
        std::os::unix::fs::chown(&file, Some(OWNER), Some(OWNER)).unwrap();
    }
}

fn begin(config: &Path) -> Child {
    let mut dovecot = Command::new("/usr/sbin/dovecot");
    dovecot.arg("-F").arg("-c").arg(config).stdout(Stdio::null()).stderr(Stdio::null());
    dovecot.spawn().unwrap()
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        self.go_away();
    }
}

/// An Exim that takes messages of those who log in, whoever they are for; but it has nobody called "nobody". It ends with this.
pub(crate) struct Exim {
    child: Child,
    folder: Folder,
    inbox: PathBuf,
    pub(crate) smtp: u16,
    pub(crate) smtps: u16,
}

impl Exim {
    /// With a place of its own for what it is given.
    pub(crate) fn start(certificates: &Certificates) -> Self {
        Self::with(certificates, None)
    }

    /// What it is given comes into the INBOX of Dovecot's user.
    pub(crate) fn before(dovecot: &Dovecot, certificates: &Certificates) -> Self {
        dovecot.make_inbox();
        Self::with(certificates, Some(dovecot.inbox()))
    }

    fn with(certificates: &Certificates, inbox: Option<PathBuf>) -> Self {
        let is_there = Path::new("/usr/sbin/exim4").exists();
        assert!(
            is_there,
            "this test wants Exim, which is not installed beside another mail server"
        );
        let folder = open_to_all();
        // It works as the user of its package.
        let status = Command::new("chown").arg("Debian-exim").arg(folder.path()).status();
        assert!(status.unwrap().success());
        let inbox = inbox.unwrap_or_else(|| folder.path().join("mail"));
        let (smtp, smtps) = (free(), free());
        let certificates = certificates.server();
        let text = exim_configuration(folder.path(), &inbox, (smtp, smtps), &certificates);
        let config = folder.write("exim.conf", text);
        let child = Command::new("/usr/sbin/exim4")
            .arg("-bdf")
            .arg("-C")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let exim = Self { child: child.unwrap(), folder, inbox, smtp, smtps };
        let log = || fs::read_to_string(exim.folder.path().join("log-main")).unwrap_or_default();
        wait_for("Exim", &[smtp, smtps], log);
        exim
    }

    /// The first message that it was given for somebody.
    pub(crate) fn mail_of(&self, local_part: &str) -> Option<String> {
        let files = fs::read_dir(self.inbox.join("new")).ok()?;
        let texts = files.map(|file| fs::read(file.unwrap().path()).unwrap());
        texts
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .find(|text| text.contains(&format!("Envelope-to: {local_part}@")))
    }
}

impl Drop for Exim {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

fn exim_configuration(
    at: &Path,
    inbox: &Path,
    (smtp, smtps): (u16, u16),
    (certificate, key): &(PathBuf, PathBuf),
) -> String {
    let (at, inbox) = (at.display(), inbox.display());
    let (certificate, key) = (certificate.display(), key.display());
    format!(
        "primary_hostname = relay.example\nspool_directory = {at}/spool\nlog_file_path = {at}/log-%s\nkeep_environment =\n\
         pid_file_path = {at}/pid\nlocal_interfaces = 127.0.0.1\ndaemon_smtp_ports = {smtp} : {smtps}\n\
         tls_on_connect_ports = {smtps}\ntls_advertise_hosts = *\ntls_certificate = {certificate}\n\
         tls_privatekey = {key}\nauth_advertise_hosts = ${{if eq{{$tls_in_cipher}}{{}}{{}}{{*}}}}\n\
         acl_smtp_rcpt = to_whom\nqualify_domain = relay.example\nhost_lookup =\n\
         begin acl\nto_whom:\n  deny !authenticated = *\n    message = 5.7.1 log in first\n  \
         deny local_parts = nobody\n    message = 5.1.1 nobody is here\n  accept\n\
         begin routers\nall:\n  driver = accept\n  transport = files\n\
         begin transports\nfiles:\n  driver = appendfile\n  maildir_format\n  directory = {inbox}\n  user = Debian-exim\n  \
         mode = 0666\n  directory_mode = 0777\n  envelope_to_add\n  return_path_add\n\
         begin authenticators\nplain:\n  driver = plaintext\n  public_name = PLAIN\n  server_prompts = :\n  \
         server_condition = ${{if and{{{{eq{{$auth2}}{{entracte}}}}{{eq{{$auth3}}{{its own secret}}}}}}}}\n  \
         server_set_id = $auth2\n"
    )
}
