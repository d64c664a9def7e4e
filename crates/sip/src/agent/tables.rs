//! What an agent remembers, and how it finds it again.

#[expect(clippy::disallowed_types, reason = "looked up by key only, never iterated")]
use std::collections::HashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use vocab::{ConnectionId, Now};

use super::{Call, ClientTransaction, Flow, Transport};
use crate::dialog::Dialog;
use crate::headers::Headers;
use crate::invite::{Carrier, Repeat, Usage};
use crate::message::{Request, Response};
use crate::timers::Deadlines;
use crate::transaction::{Client, Server};

/// A table for look-ups only.
#[expect(clippy::disallowed_types, reason = "looked up by key only, never iterated")]
pub(super) type Lookup<K, V> = HashMap<K, V, Seeded>;

/// A hash that a peer who does not know the seed cannot aim.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seeded(pub(super) u64);

impl BuildHasher for Seeded {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.0);
        hasher
    }
}

/// Which of the two transactions that share a branch: a CANCEL carries that of its INVITE.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) enum Part {
    Main,
    Cancel,
}

/// A client transaction: the number in its branch, and which part.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct ClientKey(pub(super) u64, pub(super) Part);

/// A server transaction, counted.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct ServerKey(pub(super) u64);

/// Who waits for a deadline, or stands on a flow.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Owner {
    Client(ClientKey),
    Server(ServerKey),
    Call(Call),
}

/// What a client transaction is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Purpose {
    /// The INVITE that makes the call.
    Invite(Call),
    /// INVITE or UPDATE within the call, sent again so many times after a 491.
    Reoffer(Call, Carrier, u32),
    /// BYE or CANCEL: nobody waits for the answer.
    Farewell,
    /// A request of the application.
    Other(ClientTransaction, Option<Call>),
}

/// A 2xx to an INVITE of ours, from one branch.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) tag: Box<str>,
    /// The ACK, once there is one: a repeated 2xx gets it again.
    pub(super) ack: Option<(Flow, Vec<u8>)>,
}

#[derive(Debug)]
pub(super) struct ClientEntry {
    pub(super) machine: Client,
    pub(super) request: Request,
    pub(super) flow: Flow,
    pub(super) purpose: Purpose,
    pub(super) answers: Vec<Answer>,
    deadline: Option<Now>,
}

#[derive(Debug)]
pub(super) struct ServerEntry {
    pub(super) machine: Server,
    pub(super) key: Box<str>,
    pub(super) merge: Option<u64>,
    /// Until the final response is sent.
    pub(super) request: Option<Arc<Request>>,
    /// The tag that our responses add to To.
    pub(super) tag: Box<str>,
    pub(super) flow: Flow,
    /// Whose it is, for its share.
    peer: IpAddr,
    /// Where to dial for the response once the stream it came on is gone. RFC 3261 §18.2.2.
    pub(super) redial: SocketAddr,
    /// The last response, for a repeated request.
    pub(super) last: Vec<u8>,
    deadline: Option<Now>,
}

/// Whether and how far our INVITE is cancelled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Cancel {
    No,
    /// To be sent as soon as a provisional response came. RFC 3261 §9.1.
    Wanted,
    Sent,
}

/// How far a call is.
#[derive(Debug)]
pub(super) enum Phase {
    /// Our INVITE is out; the early dialogs it made.
    Calling { forks: Vec<Dialog>, cancel: Cancel },
    /// Their INVITE waits for its final response.
    Ringing(Box<Dialog>),
    /// There is a session.
    Live(Box<Dialog>),
}

impl Phase {
    /// The dialog of a ringing or live call.
    pub(super) const fn dialog(&self) -> Option<&Dialog> {
        match self {
            Self::Calling { .. } => None,
            Self::Ringing(dialog) | Self::Live(dialog) => Some(dialog),
        }
    }

    /// The same, to change it.
    pub(super) const fn dialog_mut(&mut self) -> Option<&mut Dialog> {
        match self {
            Self::Calling { .. } => None,
            Self::Ringing(dialog) | Self::Live(dialog) => Some(dialog),
        }
    }

    /// The dialog with this peer, early or not.
    pub(super) fn dialog_with(&mut self, call_id: &str, tag: &str) -> Option<&mut Dialog> {
        match self {
            Self::Calling { forks, .. } => forks.iter_mut().find(|fork| fork.is(call_id, tag)),
            Self::Ringing(dialog) | Self::Live(dialog) => {
                dialog.is(call_id, tag).then_some(&mut **dialog)
            }
        }
    }

    pub(super) const fn is_live(&self) -> bool {
        matches!(self, Self::Live(_))
    }
}

/// Our 2xx, repeated until its ACK comes.
#[derive(Debug)]
pub(super) struct Accepting {
    pub(super) repeat: Repeat,
    pub(super) server: ServerKey,
    pub(super) flow: Flow,
    pub(super) bytes: Vec<u8>,
    /// The ACK must carry this number.
    pub(super) seq: u32,
}

/// An INVITE or UPDATE that met 491, to be sent again.
#[derive(Debug)]
pub(super) struct Retry {
    pub(super) at: Now,
    pub(super) carrier: Carrier,
    pub(super) sdp: Option<Vec<u8>>,
    pub(super) tries: u32,
    /// What the application hears if we give up.
    pub(super) response: Box<Response>,
}

#[derive(Debug)]
pub(super) struct CallEntry {
    /// The number in our tag.
    pub(super) tag: u64,
    /// Whether we chose the Call-ID.
    pub(super) owns_call_id: bool,
    pub(super) phase: Phase,
    pub(super) usage: Usage,
    /// Our INVITE without final response, or whose ACK the application owes.
    pub(super) client: Option<ClientKey>,
    /// Their INVITE without final response.
    pub(super) server: Option<ServerKey>,
    /// Their UPDATE that the application must answer.
    pub(super) update: Option<ServerKey>,
    pub(super) accepting: Option<Box<Accepting>>,
    pub(super) retry: Option<Box<Retry>>,
    /// When the last provisional response is sent again, that no proxy gives up. RFC 3261 §13.3.1.1.
    pub(super) ring: Option<Now>,
    /// The application wants a BYE with these headers as soon as the ACK is there.
    pub(super) farewell: Option<Headers>,
    flow: Option<FlowName>,
    deadline: Option<Now>,
}

impl CallEntry {
    pub(super) fn new(tag: u64, owns_call_id: bool, phase: Phase, usage: Usage) -> Self {
        Self {
            tag,
            owns_call_id,
            phase,
            usage,
            client: None,
            server: None,
            update: None,
            accepting: None,
            retry: None,
            ring: None,
            farewell: None,
            flow: None,
            deadline: None,
        }
    }

    fn wants(&self) -> Option<Now> {
        let accepting = self.accepting.as_ref().map(|accepting| accepting.repeat.deadline());
        let retry = self.retry.as_ref().map(|retry| retry.at);
        [accepting, retry, self.ring].into_iter().flatten().min()
    }
}

/// What identifies a flow when it fails.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum FlowName {
    Connection(ConnectionId),
    Address(Transport, SocketAddr),
}

impl FlowName {
    fn of(flow: Flow) -> Self {
        flow.connection.map_or(Self::Address(flow.transport, flow.remote), Self::Connection)
    }
}

/// The tables, each with the indexes that lead to it: nobody else adds or removes entries.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) deadlines: Deadlines<Owner>,
    pub(super) clients: Lookup<ClientKey, Box<ClientEntry>>,
    pub(super) servers: Lookup<ServerKey, Box<ServerEntry>>,
    pub(super) calls: Lookup<Call, Box<CallEntry>>,
    by_key: Lookup<Box<str>, ServerKey>,
    by_merge: Lookup<u64, ServerKey>,
    by_tag: Lookup<u64, Call>,
    flows: BTreeSet<(FlowName, Owner)>,
    /// Server transactions of each peer that has any.
    peers: BTreeMap<IpAddr, usize>,
    seeded: Seeded,
}

impl Tables {
    pub(super) fn new(seeded: Seeded) -> Self {
        Self {
            deadlines: Deadlines::default(),
            clients: Lookup::with_hasher(seeded),
            servers: Lookup::with_hasher(seeded),
            calls: Lookup::with_hasher(seeded),
            by_key: Lookup::with_hasher(seeded),
            by_merge: Lookup::with_hasher(seeded),
            by_tag: Lookup::with_hasher(seeded),
            flows: BTreeSet::new(),
            peers: BTreeMap::new(),
            seeded,
        }
    }

    /// A hash that only this agent can compute.
    pub(super) fn hash(&self, value: impl Hash) -> u64 {
        self.seeded.hash_one(value)
    }

    pub(super) fn transactions(&self) -> usize {
        self.clients.len() + self.servers.len()
    }

    pub(super) fn lookups(&self) -> usize {
        self.by_key.len() + self.by_merge.len() + self.by_tag.len()
    }

    pub(super) fn flows(&self) -> usize {
        self.flows.len()
    }

    pub(super) fn server_by_key(&self, key: &str) -> Option<ServerKey> {
        self.by_key.get(key).copied()
    }

    pub(super) fn is_merged(&self, merge: u64) -> bool {
        self.by_merge.contains_key(&merge)
    }

    pub(super) fn call_by_tag(&self, tag: &str) -> Option<Call> {
        // Our tags are sixteen digits; anything else names no call.
        let number = (tag.len() == 16).then(|| u64::from_str_radix(tag, 16).ok())??;
        self.by_tag.get(&number).copied()
    }

    pub(super) fn has_tag(&self, tag: u64) -> bool {
        self.by_tag.contains_key(&tag)
    }

    pub(super) fn add_client(
        &mut self,
        key: ClientKey,
        machine: Client,
        (request, flow, purpose): (Request, Flow, Purpose),
    ) {
        self.flows.insert((FlowName::of(flow), Owner::Client(key)));
        let answers = Vec::new();
        let entry = ClientEntry { machine, request, flow, purpose, answers, deadline: None };
        self.clients.insert(key, Box::new(entry));
        self.rearm_client(key);
    }

    pub(super) fn rearm_client(&mut self, key: ClientKey) {
        if let Some(entry) = self.clients.get_mut(&key) {
            let wants = entry.machine.deadline();
            self.deadlines.rearm(Owner::Client(key), entry.deadline, wants);
            entry.deadline = wants;
        }
    }

    /// The stream that was to be dialled for this transaction has come to be.
    pub(super) fn move_client(&mut self, key: ClientKey, flow: Flow) {
        if let Some(entry) = self.clients.get_mut(&key)
            && entry.flow != flow
        {
            self.flows.remove(&(FlowName::of(entry.flow), Owner::Client(key)));
            self.flows.insert((FlowName::of(flow), Owner::Client(key)));
            entry.flow = flow;
        }
    }

    pub(super) fn remove_client(&mut self, key: ClientKey) -> Option<Box<ClientEntry>> {
        let entry = self.clients.remove(&key)?;
        self.deadlines.rearm(Owner::Client(key), entry.deadline, None);
        self.flows.remove(&(FlowName::of(entry.flow), Owner::Client(key)));
        Some(entry)
    }

    pub(super) fn add_server(&mut self, id: ServerKey, entry: ServerParts) {
        let ServerParts { machine, key, merge, request, tag, flow, redial } = entry;
        if flow.transport == Transport::Tcp {
            self.flows.insert((FlowName::of(flow), Owner::Server(id)));
        }
        if let Some(merge) = merge {
            self.by_merge.insert(merge, id);
        }
        self.by_key.insert(key.clone(), id);
        let peer = flow.remote.ip();
        *self.peers.entry(peer).or_default() += 1;
        let entry = ServerEntry {
            machine,
            peer,
            key,
            merge,
            request: Some(request),
            tag,
            flow,
            redial,
            last: Vec::new(),
            deadline: None,
        };
        self.servers.insert(id, Box::new(entry));
        self.rearm_server(id);
    }

    /// Server transactions that this peer has.
    pub(super) fn held_by(&self, peer: IpAddr) -> usize {
        self.peers.get(&peer).copied().unwrap_or(0)
    }

    pub(super) fn rearm_server(&mut self, id: ServerKey) {
        if let Some(entry) = self.servers.get_mut(&id) {
            let wants = entry.machine.deadline();
            self.deadlines.rearm(Owner::Server(id), entry.deadline, wants);
            entry.deadline = wants;
        }
    }

    /// The stream of this transaction is gone; its responses are dialled from now on.
    pub(super) fn redial_server(&mut self, id: ServerKey) {
        if let Some(entry) = self.servers.get_mut(&id) {
            self.flows.remove(&(FlowName::of(entry.flow), Owner::Server(id)));
            entry.flow = Flow { remote: entry.redial, connection: None, ..entry.flow };
            self.flows.insert((FlowName::of(entry.flow), Owner::Server(id)));
        }
    }

    pub(super) fn remove_server(&mut self, id: ServerKey) {
        if let Some(entry) = self.servers.remove(&id) {
            self.deadlines.rearm(Owner::Server(id), entry.deadline, None);
            self.flows.remove(&(FlowName::of(entry.flow), Owner::Server(id)));
            self.by_key.remove(&entry.key);
            if let Some(held) = self.peers.get_mut(&entry.peer) {
                *held -= 1;
                if *held == 0 {
                    self.peers.remove(&entry.peer);
                }
            }
            if let Some(merge) = entry.merge {
                self.by_merge.remove(&merge);
            }
        }
    }

    pub(super) fn add_call(&mut self, call: Call, entry: CallEntry) {
        self.by_tag.insert(entry.tag, call);
        self.calls.insert(call, Box::new(entry));
        self.settle_call(call);
    }

    /// Brings deadline and flow of a call up to date after any change to it.
    pub(super) fn settle_call(&mut self, call: Call) {
        let Some(entry) = self.calls.get_mut(&call) else { return };
        let wants = entry.wants();
        self.deadlines.rearm(Owner::Call(call), entry.deadline, wants);
        entry.deadline = wants;
        let stream = |dialog: &Dialog| dialog.flow.transport == Transport::Tcp;
        let name = entry.phase.dialog().filter(|d| stream(d)).map(|d| FlowName::of(d.flow));
        if entry.flow != name {
            if let Some(old) = entry.flow {
                self.flows.remove(&(old, Owner::Call(call)));
            }
            if let Some(new) = name {
                self.flows.insert((new, Owner::Call(call)));
            }
            entry.flow = name;
        }
    }

    pub(super) fn remove_call(&mut self, call: Call) -> Option<Box<CallEntry>> {
        let entry = self.calls.remove(&call)?;
        self.deadlines.rearm(Owner::Call(call), entry.deadline, None);
        if let Some(name) = entry.flow {
            self.flows.remove(&(name, Owner::Call(call)));
        }
        self.by_tag.remove(&entry.tag);
        Some(entry)
    }

    /// Everything that stands on this flow, or waits for it to be dialled.
    pub(super) fn on_flow(&self, flow: Flow) -> Vec<Owner> {
        let names = [
            flow.connection.map(FlowName::Connection),
            Some(FlowName::Address(flow.transport, flow.remote)),
        ];
        let first = Owner::Client(ClientKey(0, Part::Main));
        let standing = |name: FlowName| {
            self.flows
                .range((name, first)..)
                .take_while(move |(other, _)| *other == name)
                .map(|(_, owner)| *owner)
        };
        names.into_iter().flatten().flat_map(standing).collect()
    }
}

/// What a new server transaction begins with.
pub(super) struct ServerParts {
    pub(super) machine: Server,
    pub(super) key: Box<str>,
    pub(super) merge: Option<u64>,
    pub(super) request: Arc<Request>,
    pub(super) tag: Box<str>,
    pub(super) flow: Flow,
    pub(super) redial: SocketAddr,
}
