//! Both servers, each a process of its own.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use argon2::{Argon2, PasswordHasher as _};
use mailbox::{Address, MessageStore, Options, Sweeps, SystemHost, Ticker, Unique};
use mailroom::imap_server::Begin;
use mailroom::{Access, Limits, Mailroom};
use store::SystemDisk;

use crate::Outcome;

/// Who the mail of Dovecot belongs to; nobody else does.
const USER: u32 = 12_345;

/// Where a server is reached.
pub(crate) trait Server: Sync {
    fn lmtp(&self) -> SocketAddr;
    fn imap(&self) -> SocketAddr;
}

fn free() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// A Dovecot with a configuration of its own, all syncs on.
pub(crate) struct Dovecot {
    child: Child,
    folder: PathBuf,
    lmtp: SocketAddr,
    imap: SocketAddr,
}

impl Server for Dovecot {
    fn lmtp(&self) -> SocketAddr {
        self.lmtp
    }

    fn imap(&self) -> SocketAddr {
        self.imap
    }
}

impl Dovecot {
    pub(crate) fn begin(folder: &Path) -> Outcome<Self> {
        fs::create_dir_all(folder.join("mail"))?;
        for path in folder.ancestors().take(2) {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(path, mode)?;
        }
        std::os::unix::fs::chown(folder.join("mail"), Some(USER), Some(USER))?;
        let (lmtp, imap) = (free()?, free()?);
        let at = folder.display();
        let listener =
            |address: SocketAddr| format!("address = 127.0.0.1\n    port = {}", address.port());
        let text = format!(
            "base_dir = {at}/run\nstate_dir = {at}/state\nlog_path = {at}/log\nprotocols = lmtp imap\nssl = no\n\
             disable_plaintext_auth = no\nmail_location = sdbox:{at}/mail/%u\nmail_fsync = always\n\
             first_valid_uid = {USER}\nfirst_valid_gid = {USER}\n\
             passdb {{\n  driver = static\n  args = password=secret\n}}\n\
             userdb {{\n  driver = static\n  args = uid={USER} gid={USER} home={at}/mail/%u allow_all_users=yes\n}}\n\
             service lmtp {{\n  process_min_avail = 2\n  inet_listener lmtp {{\n    {}\n  }}\n}}\n\
             service imap-login {{\n  inet_listener imap {{\n    {}\n  }}\n  inet_listener imaps {{\n    port = 0\n  }}\n}}\n",
            listener(lmtp),
            listener(imap),
        );
        let file = folder.join("dovecot.conf");
        fs::write(&file, text)?;
        let child = Command::new("/usr/sbin/dovecot").arg("-F").arg("-c").arg(&file).spawn()?;
        let dovecot = Self { child, folder: folder.to_owned(), lmtp, imap };
        for _ in 0..400 {
            if TcpStream::connect(lmtp).is_ok() && TcpStream::connect(imap).is_ok() {
                return Ok(dovecot);
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        let log = fs::read_to_string(dovecot.folder.join("log")).unwrap_or_default();
        Err(format!("Dovecot does not answer: {log}").into())
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        // Its first process stops all others.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// Our server, on a store of its own.
pub(crate) struct Ours {
    child: Child,
    lmtp: SocketAddr,
    imap: SocketAddr,
}

impl Server for Ours {
    fn lmtp(&self) -> SocketAddr {
        self.lmtp
    }

    fn imap(&self) -> SocketAddr {
        self.imap
    }
}

impl Ours {
    pub(crate) fn begin(folder: &Path) -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("serve")
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let (lmtp, imap) = line.trim().split_once(' ').ok_or("our server does not start")?;
        Ok(Self { child, lmtp: lmtp.parse()?, imap: imap.parse()? })
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Our server in a process of its own; it says where it is, and ends when whoever began it does.
pub(crate) fn serve(root: &Path) -> Outcome {
    let (disk, host) = (Arc::new(SystemDisk::new()), Arc::new(SystemHost));
    MessageStore::initialise(&*disk, &*host, root)?;
    let store = Arc::new(MessageStore::open(disk, host, root, None, Options::default())?);
    let _ticker = Ticker::start(Arc::clone(&store), Sweeps::Never)?;
    let hash =
        Argon2::default().hash_password(b"secret").map_err(|error| error.to_string())?.to_string();
    for name in (0..8).map(|n| format!("u{n}")).chain(["big".to_owned()]) {
        store.create(&Address::parse(&name)?)?;
        store.set_password_hash(&Unique::parse(&name)?, Some(hash.clone()))?;
    }
    let access = Arc::new(Access::new(Arc::clone(&store), Vec::new())?);
    let names = ("ruler.example".to_owned(), Vec::new());
    let room = Arc::new(Mailroom::new(store, access, names, None, Limits::default()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let lmtp = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let imap = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{} {}", lmtp.local_addr()?, imap.local_addr()?);
        tokio::spawn(mailroom::lmtp::serve(lmtp, Arc::clone(&room)));
        tokio::spawn(mailroom::imap_server::serve(imap, room, Begin::Plain));
        let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
        ended.await??;
        Ok(())
    })
}
