//! The message store of a server: opened, kept alive, and what happens in it told; and the doors to it for mail programs.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use mailbox::{GUARD, MailChange, MailError, MailEvent, MessageStore, Sweeps, SystemHost, Ticker};
use mailroom::agreement::{Agreement, AgreementState};
use mailroom::imap_server::Begin;
use mailroom::outgoing::{self, Outgoing};
use mailroom::retrieval::{self, Fault, Retrieval, Server};
use mailroom::{Access, Limits, Mailroom};
use store::SystemDisk;
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

use crate::announce::Announcer;
use crate::certificates::Certificates;
use crate::config::{EventKind, MailServerPlan, Plan, TlsPlan};
use crate::net::stream;
use crate::serve::StartError;
use crate::services::{MailService, Services};

/// The folder below `state_dir` with messages that wait for the root.
const SPOOL: &str = "spool";

/// A message store with the threads that keep it alive.
#[derive(Debug)]
pub struct Mail {
    /// The store.
    pub store: Arc<MessageStore>,
    /// What mail programs share, where they are served.
    pub room: Option<Arc<Mailroom>>,
    /// What sends messages on by e-mail, where relays are set.
    pub outgoing: Option<Arc<Outgoing>>,
    /// What keeps those and their copies in agreement, where there are mail servers.
    pub agreement: Option<Arc<Agreement>>,
    _ticker: Ticker,
}

impl Mail {
    /// What mail programs did since the start.
    pub(crate) fn programs(&self) -> Option<web::MailPrograms> {
        let stats = &self.room.as_ref()?.stats;
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Some(web::MailPrograms {
            connections: u64::try_from(stats.connections.load(Ordering::Relaxed)).unwrap_or(0),
            refused: count(&stats.refused),
            delivered: count(&stats.delivered),
            rejected: count(&stats.rejected),
            logins: count(&stats.logins),
            login_failures: count(&stats.login_failures),
            commands: count(&stats.commands),
        })
    }

    /// How it stands with messages that go on by e-mail.
    pub(crate) fn sent_on(&self) -> Option<web::MailSentOn> {
        let state = self.outgoing.as_ref()?.state();
        let outgoing::OutgoingState { pending, sent, deferred, bounced, last_fault } = state;
        let last_fault = last_fault.map(|(why, at)| web::MailFault { why, at: moment(at) });
        let agreement = self.agreement.as_ref().map(|agreement| {
            let AgreementState { mailboxes, changed_here, changed_there, last_fault } =
                agreement.state();
            let last_fault = last_fault.map(|(why, at)| web::MailFault { why, at: moment(at) });
            web::MailAgreement { mailboxes, changed_here, changed_there, last_fault }
        });
        Some(web::MailSentOn { pending, sent, deferred, bounced, last_fault, agreement })
    }
}

/// What mail programs connect to.
#[derive(Debug, Default)]
pub(crate) struct Doors {
    lmtp: Vec<TcpListener>,
    imap: Vec<TcpListener>,
    imaps: Vec<TcpListener>,
}

impl Doors {
    /// Binds what the settings name.
    ///
    /// # Errors
    /// An address cannot be had, or there is no message store behind it.
    pub(crate) fn bind(plan: &Plan) -> Result<Self, StartError> {
        let listen = &plan.mail.listen;
        let all = |key, what, addresses: &[SocketAddr]| {
            let bind = |address: &SocketAddr| {
                if !plan.mail.store_enabled {
                    let why = "there is nothing to be reached: mail.store_enabled is false";
                    return Err(StartError::new(key, why));
                }
                stream::listen(*address, None)
                    .map_err(|error| StartError::bind(key, what, *address, &error))
            };
            addresses.iter().map(bind).collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            lmtp: all("mail.lmtp_listen", "LMTP", &listen.lmtp)?,
            imap: all("mail.imap_listen", "IMAP", &listen.imap)?,
            imaps: all("mail.imaps_listen", "IMAP with TLS", &listen.imaps)?,
        })
    }

    /// Every address, with its protocol.
    pub(crate) fn listens(&self) -> Vec<String> {
        let all = [("lmtp", &self.lmtp), ("imap", &self.imap), ("imaps", &self.imaps)];
        let each = all.into_iter().flat_map(|(word, listeners)| {
            let addresses = listeners.iter().filter_map(|listener| listener.local_addr().ok());
            addresses.map(move |address| format!("{word}/tcp {address}"))
        });
        each.collect()
    }

    /// Serves whoever comes.
    pub(crate) fn serve(self, room: &Arc<Mailroom>) -> Vec<JoinHandle<()>> {
        let lmtp = self
            .lmtp
            .into_iter()
            .map(|listener| tokio::spawn(mailroom::lmtp::serve(listener, Arc::clone(room))));
        let imap = self.imap.into_iter().map(|listener| (listener, Begin::Plain));
        let imaps = self.imaps.into_iter().map(|listener| (listener, Begin::Tls));
        let imap = imap.chain(imaps).map(|(listener, begin)| {
            tokio::spawn(mailroom::imap_server::serve(listener, Arc::clone(room), begin))
        });
        lmtp.chain(imap).collect()
    }
}

/// What speaks with mail servers.
fn retrieval(plan: &Plan, store: Option<Arc<MessageStore>>) -> Retrieval {
    let server = |server: &MailServerPlan| Server {
        name: server.name.clone(),
        host: server.host.clone(),
        port: server.port,
        security: server.security,
        user: server.user.clone().unwrap_or_default(),
        authorization_id: server.authorization_id.clone().unwrap_or_default(),
        login: server.login,
        password_file: server.password_file.clone(),
        ca_file: server.ca_file.clone(),
    };
    let config = retrieval::Config {
        servers: plan.mail.servers.iter().map(server).collect(),
        idle: plan.mail.imap_timeout_seconds.map(|seconds| Duration::from_secs(seconds.into())),
        patience: Duration::from_secs(plan.mail.imap_answer_seconds.into()),
    };
    Retrieval::new(store, config)
}

/// Keeps what went on by e-mail in agreement with what came of it, where both can be asked.
fn agreement(plan: &Plan, mail: &Mail, retrieval: &Arc<Retrieval>) -> Option<Arc<Agreement>> {
    // Without mail servers a rule is told that there is none.
    mail.outgoing.as_ref()?;
    let every = Duration::from_secs(plan.mail.agree_seconds.into());
    let agreement = Agreement::new(Arc::clone(&mail.store), Arc::clone(retrieval), every);
    let agreement = Arc::new(agreement);
    tokio::spawn(Arc::clone(&agreement).run());
    Some(agreement)
}

/// A moment as pages and programs read it, RFC 3339.
fn moment(seconds: u64) -> String {
    mailbox::Moment::from_micros(seconds.saturating_mul(1_000_000)).to_string()
}

fn counted(counts: retrieval::Counts) -> web::MailCounts {
    let retrieval::Counts { mailbox, messages, unseen, at } = counts;
    web::MailCounts { mailbox, messages, unseen, at: moment(at) }
}

/// How it stands with the mail servers.
pub(crate) fn servers(services: &Services) -> Vec<web::MailServer> {
    let Some(service) = services.mail.get() else { return Vec::new() };
    let told = |state: retrieval::AccountState| web::MailServer {
        state: match (&state.last_fault, state.last_success) {
            (None, None) => "unused",
            (Some((_, failed)), done) if state.left_alone.is_some() || done < Some(*failed) => {
                "failing"
            }
            (Some(_) | None, _) => "working",
        }
        .to_owned(),
        name: state.server,
        address: state.address,
        user: state.as_whom,
        idle: state.connections.0,
        in_use: state.connections.1,
        left_alone_ms: state.left_alone.and_then(|left| u64::try_from(left.as_millis()).ok()),
        last_fault: state.last_fault.map(|(why, at)| web::MailFault { why, at: moment(at) }),
        last_success: state.last_success.map(moment),
        fetched: state.fetched,
        failed: state.failed,
        counts: state.counts.map(counted),
    };
    service.retrieval.states().into_iter().map(told).collect()
}

/// What a mailbox of a mail server holds.
///
/// # Errors
/// Why it cannot be asked, with what was known last; none when there is no such server.
pub(crate) async fn counts(
    services: &Services,
    server: &str,
    user: &str,
    mailbox: &str,
) -> Result<web::MailCounts, Option<(String, Option<web::MailCounts>)>> {
    let service = services.mail.get().ok_or(None)?;
    match service.retrieval.counts(server, user, mailbox).await {
        Ok(counts) => Ok(counted(counts)),
        Err(Fault::NotAllowed(_)) => Err(None),
        Err(fault) => {
            let known = servers(services).into_iter().find_map(|known| {
                let is_it = known.name == server && (known.user == user || known.user.is_empty());
                known.counts.filter(|counts| is_it && counts.mailbox == mailbox)
            });
            Err(Some((fault.to_string(), known)))
        }
    }
}

/// What mail programs share, if any are served. Pages and mail have one certificate.
fn room(
    plan: &Plan,
    store: &Arc<MessageStore>,
    certificates: Option<&Arc<Certificates>>,
    host: &str,
) -> Result<Option<Arc<Mailroom>>, StartError> {
    let mail = &plan.mail;
    if mail.listen.lmtp.is_empty() && !mail.listen.wants_tls() {
        return Ok(None);
    }
    let own = match certificates {
        Some(certificates) => Some(Arc::clone(certificates)),
        None if mail.listen.wants_tls() => {
            Some(Certificates::load(plan, &TlsPlan::default(), host)?)
        }
        None => None,
    };
    let tls = own.as_ref().map(Certificates::server).transpose()?;
    let access = Access::new(Arc::clone(store), mail.services.clone());
    let access = Arc::new(access.map_err(|why| StartError::new("the system", why))?);
    let limits = Limits { message_bytes_max: mail.message_bytes_max, ..Limits::default() };
    let limits = Limits {
        taking_bytes_max: limits.taking_bytes_max.max(2 * mail.message_bytes_max),
        ..limits
    };
    let names = (host.to_owned(), mail.domains.clone());
    Ok(Some(Arc::new(Mailroom::new(Arc::clone(store), access, names, tls, limits))))
}

/// Opens the store of the settings, if there is to be one, and lets calls hear messages, if they may. A root that cannot be reached is noted, not an error: messages
/// are taken into the spool until it can.
///
/// # Errors
/// The spool below `state_dir` cannot be used.
pub fn start(
    plan: &Plan,
    (announcer, services): (&Announcer, &Services),
    (certificates, host): (Option<&Arc<Certificates>>, &str),
    notes: &mut Vec<String>,
) -> Result<Option<Mail>, StartError> {
    let mut mail = open(plan, announcer, (certificates, host), notes)?;
    let store = mail.as_ref().map(|mail| Arc::clone(&mail.store));
    let retrieval = Arc::new(retrieval(plan, store));
    let tidied = Arc::clone(&retrieval);
    tokio::spawn(async move { tidied.keep_tidy().await });
    if let Some(mail) = &mut mail {
        mail.agreement = agreement(plan, mail, &retrieval);
    }
    if plan.mail.retrieval_enabled {
        let style = crate::serve::defaults(plan, services).style;
        // Nobody was faster: this is the start.
        let _ = services.mail.set(MailService { retrieval, style });
    }
    Ok(mail)
}

fn open(
    plan: &Plan,
    announcer: &Announcer,
    (certificates, host): (Option<&Arc<Certificates>>, &str),
    notes: &mut Vec<String>,
) -> Result<Option<Mail>, StartError> {
    if !plan.mail.store_enabled {
        return Ok(None);
    }
    let root = plan.mail.root(&plan.state_dir);
    make_default(plan)
        .map_err(|error| StartError::new("mail.root", format!("{}: {error}", root.display())))?;
    let spool = plan.state_dir.join(SPOOL);
    let disk = Arc::new(SystemDisk::new());
    let local = Arc::new(SystemDisk::new());
    let options = plan.mail.options();
    let system = Arc::new(SystemHost);
    let store = MessageStore::open(disk, system, &root, Some((local, spool.clone())), options)
        .map_err(|error| StartError::new("state_dir", format!("{}: {error}", spool.display())))?;
    let store = Arc::new(store);
    let ticker = Ticker::start(Arc::clone(&store), Sweeps::Hourly)
        .map_err(|error| StartError::new("the system", error))?;
    notes.extend(
        store
            .trouble()
            .map(|why| format!("mail.root: {why}; messages are kept in {}", spool.display())),
    );
    tokio::spawn(tell(store.subscribe(), announcer.clone()));
    let room = room(plan, &store, certificates, host)?;
    let outgoing = plan.mail.outgoing.clone().map(|config| {
        let outgoing = Arc::new(Outgoing::new(Arc::clone(&store), config));
        tokio::spawn(Arc::clone(&outgoing).run());
        outgoing
    });
    Ok(Some(Mail { store, room, outgoing, agreement: None, _ticker: ticker }))
}

/// Makes our own root where no server ran before. What is set may be a share that is not mounted; and where there is a spool
/// there was a root, and it is for whoever runs this to say whether a new one shall take its place.
pub(crate) fn make_default(plan: &Plan) -> Result<(), MailError> {
    let root = plan.mail.root(&plan.state_dir);
    let is_new = plan.mail.root.is_none() && !root.exists() && !plan.state_dir.join(SPOOL).exists();
    if !is_new {
        return Ok(());
    }
    std::fs::create_dir_all(&plan.state_dir)?;
    MessageStore::initialise(&SystemDisk::new(), &SystemHost, &root)
}

/// How long a root may take to answer when somebody asks how it is.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is wrong with a root that is set, if anything is: it is looked at, and written to.
pub(crate) fn probe(root: &Path) -> Option<String> {
    let (told, heard) = sync_channel(1);
    let examined = root.to_owned();
    let begun = std::thread::Builder::new().name("mail-probe".to_owned()).spawn(move || {
        // Nobody may wait any more.
        let _ = told.send(examine(&examined).err());
    });
    match begun {
        Ok(_) => {
            heard.recv_timeout(PATIENCE).unwrap_or_else(|_| Some("it does not answer".to_owned()))
        }
        Err(error) => Some(error.to_string()),
    }
}

fn examine(root: &Path) -> Result<(), String> {
    let makes = "`entracte mailbox init` makes a new one";
    let about = root.metadata().map_err(|error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            format!("it is not there: mount it, if it is a share; {makes}")
        } else {
            error.to_string()
        }
    })?;
    if !about.is_dir() {
        return Err("it is no folder".to_owned());
    }
    let guard = std::fs::read(root.join(GUARD))
        .map_err(|_| format!("it is no message store: mount it, if it is a share; {makes}"))?;
    let guard: serde_json::Value =
        serde_json::from_slice(&guard).map_err(|_| format!("{GUARD} in it cannot be read"))?;
    if let Some(to) = guard.get("moved_to").and_then(|to| to.as_str()) {
        return Err(format!("it was moved to {to}"));
    }
    let probe =
        root.join(format!(".probe-{}-{}", std::process::id(), crate::clock::wall().as_nanos()));
    let written = std::fs::write(&probe, b"");
    // Whether it is there or not.
    let _ = std::fs::remove_file(&probe);
    written.map_err(|error| format!("nothing can be written: {error}"))
}

/// Tells what happens in mailboxes, until the store is gone.
async fn tell(mut events: broadcast::Receiver<MailEvent>, announcer: Announcer) {
    loop {
        match events.recv().await {
            Ok(event) => announcer
                .tell(kind(&event.what), || serde_json::to_value(&event).unwrap_or_default()),
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "events of mailboxes came faster than they could be told");
            }
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

const fn kind(change: &MailChange) -> EventKind {
    match change {
        MailChange::Added { .. } | MailChange::Spooled { .. } | MailChange::MailboxRestored => {
            EventKind::MessageCame
        }
        MailChange::Changed { .. } | MailChange::Unspecified => EventKind::MessageChanged,
        MailChange::Removed { .. }
        | MailChange::Quarantined { .. }
        | MailChange::MailboxDeleted => EventKind::MessageGone,
    }
}
