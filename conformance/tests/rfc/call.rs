//! One call as a client places it, message by message.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::ear::Ear;
use crate::mrcp_line::{MrcpLine, Told, request};
use crate::sip_line::{Line, Message};
use crate::subject::Subject;

static NUMBER: AtomicU32 = AtomicU32::new(1);

/// The application line of RFC 6787 §4.2.
pub(crate) const CONTROL: &[&str] = &[
    "m=application 9 TCP/MRCPv2 1",
    "a=setup:active",
    "a=connection:new",
    "a=resource:speechsynth",
    "a=cmid:1",
];

/// The audio line that goes with it.
pub(crate) const AUDIO: &[&str] = &["m=audio {rtp} RTP/AVP 0", "a=recvonly", "a=mid:1"];

/// The dialog of one call.
pub(crate) struct Dialog {
    pub(crate) line: Line,
    pub(crate) target: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) call_id: String,
    pub(crate) cseq: u32,
    pub(crate) branch: String,
}

impl Dialog {
    pub(crate) fn new(line: Line, server: SocketAddr) -> Self {
        Self::to(line, &format!("sip:mrcp@{server}"))
    }

    pub(crate) fn to(line: Line, target: &str) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let unique = format!("{number}-{}", line.local().port());
        Self {
            from: format!("<sip:test@{}>;tag=f{unique}", line.local()),
            to: format!("<{target}>"),
            call_id: format!("call-{unique}@test"),
            cseq: 1,
            branch: String::new(),
            target: target.to_owned(),
            line,
        }
    }

    /// A request with the next branch; `extra` are whole header lines without their ends.
    pub(crate) fn request(&mut self, method: &str, extra: &[&str], body: &str) -> String {
        self.branch = format!("z9hG4bK-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.again(method, extra, body)
    }

    /// A request with the branch that is.
    pub(crate) fn again(&self, method: &str, extra: &[&str], body: &str) -> String {
        let (local, transport) = (self.line.local(), self.line.transport());
        let mut text = format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/{transport} {local};branch={};rport\r\n\
             From: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {} {method}\r\n",
            self.target, self.branch, self.from, self.to, self.call_id, self.cseq,
        );
        if !extra.iter().any(|line| line.starts_with("Max-Forwards")) {
            text.push_str("Max-Forwards: 70\r\n");
        }
        let suffix = if transport == "TCP" { ";transport=tcp" } else { "" };
        text.push_str(&format!("Contact: <sip:test@{local}{suffix}>\r\n"));
        for line in extra {
            text.push_str(line);
            text.push_str("\r\n");
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        text
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.line.send(text.as_bytes());
    }

    /// Sends a request and waits for its final answer.
    #[track_caller]
    pub(crate) fn ask(&mut self, method: &str, extra: &[&str], body: &str) -> Message {
        let text = self.request(method, extra, body);
        self.send(&text);
        self.line.answer()
    }

    /// INVITE, its answer, and the ACK; a 2xx makes the dialog.
    #[track_caller]
    pub(crate) fn invite(&mut self, sdp: &str) -> Message {
        self.invite_with(&[], sdp)
    }

    /// The same, with these header fields.
    #[track_caller]
    pub(crate) fn invite_with(&mut self, extra: &[&str], sdp: &str) -> Message {
        let all = [&["Content-Type: application/sdp"], extra].concat();
        let answer = self.ask("INVITE", &all, sdp);
        self.acknowledge(&answer);
        answer
    }

    pub(crate) fn acknowledge(&mut self, answer: &Message) {
        if let Some(to) = answer.header("To") {
            self.to = to;
        }
        let ack = if answer.status() < 300 {
            if let Some(contact) = answer.header("Contact") {
                let uri = contact.split(['<', '>']).nth(1).unwrap_or(&contact);
                self.target = uri.to_owned();
            }
            self.request("ACK", &[], "")
        } else {
            self.again("ACK", &[], "")
        };
        self.send(&ack);
    }

    /// A request inside the dialog.
    #[track_caller]
    pub(crate) fn within(&mut self, method: &str, extra: &[&str], body: &str) -> Message {
        self.cseq += 1;
        self.ask(method, extra, body)
    }

    #[track_caller]
    pub(crate) fn bye(&mut self) {
        assert_eq!(self.within("BYE", &[], "").status(), 200);
    }
}

/// A call with an RTP port and MRCPv2 channels.
pub(crate) struct Call {
    pub(crate) dialog: Dialog,
    pub(crate) ear: Ear,
    pub(crate) answer: Message,
    /// In the order of the answer's application lines.
    pub(crate) channels: Vec<String>,
    pub(crate) mrcp: MrcpLine,
    pub(crate) next_id: u32,
}

impl Drop for Call {
    /// Hangs up, so that the server does not wait for us when it ends.
    fn drop(&mut self) {
        self.dialog.cseq += 1;
        let bye = self.dialog.request("BYE", &[], "");
        self.dialog.send(&bye);
    }
}

/// A session description: the lines of a session, then these, with `{rtp}` filled in.
pub(crate) fn describe(lines: &[&str], ear: &Ear) -> String {
    let head = ["v=0", "o=c 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0"];
    let all: Vec<&str> = head.iter().chain(lines).copied().collect();
    format!("{}\r\n", all.join("\r\n")).replace("{rtp}", &ear.local.port().to_string())
}

impl Call {
    /// One speechsynth channel and PCMU.
    #[track_caller]
    pub(crate) fn place(subject: &Subject) -> Self {
        Self::offering(subject, &[CONTROL, AUDIO].concat())
    }

    /// The same, with these header fields in its INVITE.
    #[track_caller]
    pub(crate) fn place_with(subject: &Subject, extra: &[&str]) -> Self {
        Self::offering_with(subject, &[CONTROL, AUDIO].concat(), extra)
    }

    #[track_caller]
    pub(crate) fn offering(subject: &Subject, lines: &[&str]) -> Self {
        Self::offering_with(subject, lines, &[])
    }

    #[track_caller]
    fn offering_with(subject: &Subject, lines: &[&str], extra: &[&str]) -> Self {
        let ear = Ear::open();
        let mut dialog = Dialog::new(Line::udp(subject.udp), subject.udp);
        let answer = dialog.invite_with(extra, &describe(lines, &ear));
        assert_eq!(answer.status(), 200, "{}", answer.head);
        let channels = values(&answer.body, "a=channel:");
        let mrcp = MrcpLine::open(mrcp_address(&answer.body));
        Self { dialog, ear, answer, channels, mrcp, next_id: 1 }
    }

    /// Sends a request on the first channel with the next id.
    pub(crate) fn send(&mut self, method: &str, headers: &[&str], body: &[u8]) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        let channel = format!("Channel-Identifier: {}", self.channels[0]);
        let mut all = vec![channel.as_str()];
        all.extend_from_slice(headers);
        self.mrcp.send(&request(method, id, &all, body));
        id
    }

    /// Sends a request and waits for its response.
    #[track_caller]
    pub(crate) fn ask(&mut self, method: &str, headers: &[&str], body: &[u8]) -> Told {
        let id = self.send(method, headers, body);
        loop {
            let told = self.mrcp.next();
            if !told.is_event() && told.id() == id {
                return told;
            }
        }
    }

    #[track_caller]
    pub(crate) fn speak(&mut self, media_type: &str, body: &str) -> Told {
        self.ask("SPEAK", &[&format!("Content-Type: {media_type}")], body.as_bytes())
    }

    /// The next message that is an event.
    #[track_caller]
    pub(crate) fn event(&mut self) -> Told {
        loop {
            let told = self.mrcp.next_within(std::time::Duration::from_secs(20)).expect("no event");
            if told.is_event() {
                return told;
            }
        }
    }

    /// Speaks to the end; the SPEAK-COMPLETE.
    #[track_caller]
    pub(crate) fn spoken(&mut self, media_type: &str, body: &str) -> Told {
        let told = self.speak(media_type, body);
        if told.what().ends_with(" COMPLETE") {
            return told;
        }
        assert_eq!(told.what(), "200 IN-PROGRESS", "{}", told.head);
        loop {
            let event = self.event();
            if event.what() == "SPEAK-COMPLETE COMPLETE" {
                return event;
            }
        }
    }
}

/// What stands behind `start` in each line that has it.
pub(crate) fn values(sdp: &str, start: &str) -> Vec<String> {
    sdp.lines().filter_map(|line| line.trim_end().strip_prefix(start)).map(str::to_owned).collect()
}

/// Where the answer says that MRCPv2 is spoken.
pub(crate) fn mrcp_address(sdp: &str) -> SocketAddr {
    let lines = values(sdp, "m=application ");
    let port = lines.iter().filter_map(|line| line.split(' ').next()?.parse::<u16>().ok());
    let host = values(sdp, "c=IN IP4 ").first().cloned().unwrap();
    let port = port.into_iter().find(|port| *port != 0).unwrap_or(9);
    SocketAddr::new(host.parse().unwrap(), port)
}
