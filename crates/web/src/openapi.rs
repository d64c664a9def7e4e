//! What the API has, once: for the page that tells it, for `openapi.json`, and for the test that holds both to the
//! addresses that there are. Forms of answers come from the types themselves.

use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, Info, OpenApi, PathItem, PathsBuilder, Ref, RefOr, Required,
    ResponseBuilder,
};
use utoipa::{PartialSchema as _, ToSchema};

use crate::accounts::Role;
use crate::{settings, view};

/// How an address is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Method {
    Get,
    Post,
    Patch,
    Delete,
}

impl Method {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// What is sent or comes back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    /// Nothing, or an object that is explained in words.
    Object,
    /// One of a type, by its name.
    One(&'static str),
    /// A list of them.
    Many(&'static str),
    /// Server-sent events.
    Events,
    /// A file.
    File(&'static str),
}

/// One thing that can be asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) role: Role,
    pub(crate) about: &'static str,
    pub(crate) query: &'static [(&'static str, &'static str)],
    pub(crate) takes: Option<Form>,
    pub(crate) gives: Form,
}

impl Operation {
    /// A name that no other has: `post_settings_history_restore`.
    fn id(&self) -> String {
        let words = self.path.trim_start_matches("/api/v1/").split(['/', '.']);
        let words = words.map(|word| word.trim_matches(['{', '}']));
        let all = std::iter::once(self.method.as_str()).chain(words);
        all.collect::<Vec<_>>().join("_").to_lowercase()
    }

    /// The status of an answer that is no refusal.
    fn status(&self) -> &'static str {
        match self.takes {
            Some(One("CaptureOrder" | "NewMailbox")) => "201",
            Some(_) | None => "200",
        }
    }

    /// Whether a browser can just go there.
    pub(crate) fn can_be_followed(&self) -> bool {
        self.method == Method::Get && !self.path.contains('{') && self.gives != Events
    }
}

const fn get(path: &'static str, role: Role, gives: Form, about: &'static str) -> Operation {
    Operation { method: Method::Get, path, role, about, query: &[], takes: None, gives }
}

const fn post(
    path: &'static str,
    takes: Option<Form>,
    gives: Form,
    about: &'static str,
) -> Operation {
    let (method, role) = (Method::Post, Administrator);
    Operation { method, path, role, about, query: &[], takes, gives }
}

use Form::{Events, File, Many, Object, One};
use Role::{Administrator, Operator, Viewer};

const fn patch(
    path: &'static str,
    takes: &'static str,
    gives: Form,
    about: &'static str,
) -> Operation {
    Operation { method: Method::Patch, ..post(path, Some(One(takes)), gives, about) }
}

/// All of them.
pub(crate) const OPERATIONS: &[Operation] = &[
    get(
        "/api/v1/about",
        Viewer,
        One("About"),
        "Which server this is, since when, and where it listens.",
    ),
    Operation {
        query: &[
            ("q", "Only calls that contain this: a Call-ID, a channel, an address, a source."),
            ("after", "The session after which the page begins: next_after of the page before."),
        ],
        ..get(
            "/api/v1/calls",
            Viewer,
            One("Calls"),
            "The calls, 50 a page, the youngest first: calls (a list of Call), found, all, next_after.",
        )
    },
    get("/api/v1/engines", Viewer, Many("Engine"), "The engines, their load and what they send."),
    get(
        "/api/v1/resources/{name}",
        Viewer,
        One("Resource"),
        "What a call hears: NUMBER.json or NUMBER.xml.",
    ),
    get(
        "/api/v1/sources",
        Viewer,
        Many("Source"),
        "The live sources: what is heard of each, since when, how loud, by how many.",
    ),
    get("/api/v1/sources/{name}", Viewer, One("Source"), "One of them."),
    get("/api/v1/alarms", Viewer, Many("Alarm"), "What is wrong now."),
    get(
        "/api/v1/happenings",
        Viewer,
        Many("Happening"),
        "The last 500 things that happened to sources.",
    ),
    get(
        "/api/v1/devices",
        Viewer,
        Many("Device"),
        "What can be captured from, with levels. It takes a second.",
    ),
    get(
        "/api/v1/capabilities",
        Viewer,
        One("Capabilities"),
        "What OPTIONS says: resources, codecs, sources, speech.",
    ),
    get(
        "/api/v1/speech",
        Viewer,
        One("Speech"),
        "Who speaks, who failed and why, how long calls waited, the caches.",
    ),
    get(
        "/api/v1/standing",
        Viewer,
        One("Standing"),
        "Calls, channels, streams, connections and transactions now.",
    ),
    get(
        "/api/v1/deliveries",
        Viewer,
        Many("Delivery"),
        "How webhooks go: taken, lost, and what is wrong.",
    ),
    get("/api/v1/openapi.json", Viewer, Object, "This description as OpenAPI 3.1."),
    get("/api/v1/diagnostics", Operator, Many("Finding"), "What doctor finds, the worst first."),
    get(
        "/api/v1/events",
        Administrator,
        Events,
        "What happens from now on, as server-sent events with the JSON that webhooks get.",
    ),
    get(
        "/api/v1/captures",
        Administrator,
        Many("CaptureFile"),
        "Captures and their files, the youngest first.",
    ),
    post(
        "/api/v1/captures",
        Some(One("CaptureOrder")),
        One("Named"),
        "Begins a capture; answers 201 and its name.",
    ),
    get(
        "/api/v1/captures/{name}",
        Administrator,
        File("application/vnd.tcpdump.pcap"),
        "The file of a capture, also while it runs.",
    ),
    Operation {
        method: Method::Delete,
        ..get(
            "/api/v1/captures/{name}",
            Administrator,
            One("Named"),
            "Deletes the file of a capture that is over.",
        )
    },
    post("/api/v1/captures/{name}/stop", None, One("Named"), "Ends a capture."),
    get(
        "/api/v1/settings",
        Administrator,
        One("Everything"),
        "Every key with its value: fields (a list of Field), pending.",
    ),
    post(
        "/api/v1/settings",
        Some(One("Wanted")),
        One("Applied"),
        "Makes changes: changes (a list of Change) and, if wanted, base.",
    ),
    post(
        "/api/v1/settings/propose",
        Some(One("Wanted")),
        One("Proposal"),
        "What changes would do, without making them; its base names the settings that were looked at.",
    ),
    post("/api/v1/settings/reload", None, One("Applied"), "Reads the configuration file again."),
    get(
        "/api/v1/settings/history",
        Administrator,
        Many("Revision"),
        "Earlier settings, the youngest first.",
    ),
    get(
        "/api/v1/settings/history/{number}",
        Administrator,
        One("Kept"),
        "The text of earlier settings, without secrets: number, text.",
    ),
    post(
        "/api/v1/settings/history/{number}/restore",
        None,
        One("Applied"),
        "Brings earlier settings back; accounts stay as they are.",
    ),
    get("/api/v1/audit", Administrator, Many("Audited"), "Who did what, the oldest first."),
    get(
        "/api/v1/mail",
        Administrator,
        Object,
        "How the message store is: its root, which processes use it, what waits in the spool.",
    ),
    get(
        "/api/v1/mail/stats",
        Administrator,
        One("Stats"),
        "What all mailboxes hold together. It looks at each of them.",
    ),
    get(
        "/api/v1/mail/servers",
        Administrator,
        Many("MailServer"),
        "How it stands with the mail servers that messages are fetched from, and with each user there that was acted for.",
    ),
    Operation {
        query: &[
            ("user", "On whose behalf, where the account acts for others."),
            ("mailbox", "Which mailbox; INBOX without it."),
        ],
        ..get(
            "/api/v1/mail/servers/{name}/counts",
            Administrator,
            One("MailCounts"),
            "What a mailbox of a mail server holds. When it cannot be asked the answer is 503, with what was known last in known; what is not known is never 0.",
        )
    },
    get(
        "/api/v1/mail/sent-on",
        Administrator,
        One("MailSentOn"),
        "How it stands with messages that go on by e-mail; null where no relay is set.",
    ),
    post(
        "/api/v1/mailboxes/{name}/password",
        Some(One("MailboxPassword")),
        One("Mailbox"),
        "Sets the password that a mailbox's user logs in with by IMAP, or takes it away.",
    ),
    post(
        "/api/v1/mail/move",
        Some(One("ToFolder")),
        One("Moved"),
        "Copies everything to a new root and shuts the old one; what comes then waits in the spool until mail.root is the new one. Interrupted, it goes on when it is asked for again. GET /api/v1/mail says how far it is.",
    ),
    post(
        "/api/v1/mailboxes/{name}/export",
        Some(One("ToFolder")),
        One("Exported"),
        "Copies the messages of a mailbox into a folder of the server, and says what is damaged or missing.",
    ),
    Operation {
        method: Method::Delete,
        ..get(
            "/api/v1/mail/spool/{id}",
            Administrator,
            Object,
            "Takes a message out of the spool for good: nobody gets it.",
        )
    },
    Operation {
        query: &[
            ("q", "Only mailboxes with this in their name or unique string."),
            ("unused_days", "Only those that no user has, or that were not used for so many days."),
            ("deleted", "true: those that were deleted and not purged."),
            ("after", "The mailbox after which the page begins: next_after of the page before."),
        ],
        ..get("/api/v1/mailboxes", Administrator, One("Mailboxes"), "The mailboxes, in pages.")
    },
    post(
        "/api/v1/mailboxes",
        Some(One("NewMailbox")),
        One("Mailbox"),
        "Makes a mailbox, or brings one back that was deleted.",
    ),
    post(
        "/api/v1/mailboxes/import",
        Some(Object),
        One("Imported"),
        "Imports users: the body is CSV with a line of names (unique, name, quota_messages, quota_bytes), or JSON, a list of objects with the same keys. When a line is wrong, nobody is imported.",
    ),
    get(
        "/api/v1/mailboxes/{name}",
        Administrator,
        One("Mailbox"),
        "One mailbox, by its unique string.",
    ),
    patch(
        "/api/v1/mailboxes/{name}",
        "MailboxChange",
        One("Mailbox"),
        "Gives a mailbox another friendly name, or bounds of its own.",
    ),
    Operation {
        method: Method::Delete,
        ..get(
            "/api/v1/mailboxes/{name}",
            Administrator,
            One("Mailbox"),
            "Deletes a mailbox. Its data stay until they are purged.",
        )
    },
    post(
        "/api/v1/mailboxes/{name}/restore",
        None,
        One("Mailbox"),
        "Takes back that a mailbox was deleted.",
    ),
    post(
        "/api/v1/mailboxes/{name}/purge",
        Some(One("Really")),
        One("Purged"),
        "Takes away the data of a mailbox that was deleted; without really, only says what would go.",
    ),
    post(
        "/api/v1/mailboxes/{name}/check",
        Some(One("CheckOrder")),
        One("Checked"),
        "Reads every byte of a mailbox and says what is wrong; with repair mends it.",
    ),
    get(
        "/api/v1/mailboxes/{name}/events",
        Administrator,
        Events,
        "What happens in a mailbox, as it happens. Last-Event-ID is the sequence of the last change that is known; when there were others since, the first event is missed, else counts.",
    ),
    post(
        "/api/v1/mailboxes/{name}/bulk",
        Some(One("BulkOrder")),
        Many("Message"),
        "Marks, moves or removes many messages at once.",
    ),
    get(
        "/api/v1/mailboxes/{name}/greetings",
        Administrator,
        One("Messages"),
        "The greetings of a mailbox; the newest of a name is the one that is heard.",
    ),
    Operation {
        query: &[("name", "What it is for: unavailable, busy, name, temporary, or another word.")],
        ..post(
            "/api/v1/mailboxes/{name}/greetings",
            Some(File("audio/wav")),
            Object,
            "Sets a greeting: the body is its audio.",
        )
    },
    Operation {
        query: &[
            ("folder", "Only of this folder: inbox, saved, deleted, sent, greetings."),
            ("unread", "true: only those not heard or read."),
            ("q", "Only those with this in caller, number or subject."),
            (
                "after",
                "Where the page begins: next_after of the page before. It stays right while messages come and go.",
            ),
            ("limit", "At most so many, up to 1000; without it 50."),
        ],
        ..get(
            "/api/v1/mailboxes/{name}/messages",
            Administrator,
            One("Messages"),
            "The messages of a mailbox, the youngest first.",
        )
    },
    post(
        "/api/v1/mailboxes/{name}/messages",
        Some(One("Letter")),
        Many("Sent"),
        "Sends a message from this mailbox to others; a copy is kept in its folder sent.",
    ),
    get(
        "/api/v1/mailboxes/{name}/messages/{id}",
        Administrator,
        Object,
        "All of a message but its files.",
    ),
    patch(
        "/api/v1/mailboxes/{name}/messages/{id}",
        "MessageChange",
        One("Message"),
        "Marks or moves a message.",
    ),
    Operation {
        method: Method::Delete,
        query: &[("really", "true: takes it away for good, wherever it is.")],
        ..get(
            "/api/v1/mailboxes/{name}/messages/{id}",
            Administrator,
            Object,
            "Moves a message to the deleted ones; with really removes it for good.",
        )
    },
    post(
        "/api/v1/mailboxes/{name}/messages/{id}/forward",
        Some(One("Letter")),
        Many("Sent"),
        "Passes a message on, with a text or audio before it.",
    ),
    post(
        "/api/v1/mailboxes/{name}/messages/{id}/reply",
        Some(One("Letter")),
        Many("Sent"),
        "Answers a message.",
    ),
    Operation {
        query: &[
            (
                "format",
                "wav, which every browser plays, ogg, which is small, or stored, as it is kept.",
            ),
            ("number", "Which attachment, from 0; without it the first that is audio."),
        ],
        ..get(
            "/api/v1/mailboxes/{name}/messages/{id}/audio",
            Administrator,
            File("audio/wav"),
            "The audio of a message, whole or in parts (Range).",
        )
    },
    get(
        "/api/v1/mailboxes/{name}/messages/{id}/attachments/{number}",
        Administrator,
        File("application/octet-stream"),
        "A file of a message, as it is kept, whole or in parts (Range).",
    ),
];

fn schema(form: Form) -> RefOr<Schema> {
    let of = |name: &str| Ref::from_schema_name(name);
    match form {
        Object => ObjectBuilder::new().build().into(),
        One(name) => of(name).into(),
        Many(name) => ArrayBuilder::new().items(of(name)).build().into(),
        Events | File(_) => {
            ObjectBuilder::new().schema_type(SchemaType::from(Type::String)).build().into()
        }
    }
}

fn content(form: Form) -> (&'static str, ContentBuilder) {
    let kind = match form {
        Object | One(_) | Many(_) => "application/json",
        Events => "text/event-stream",
        File(kind) => kind,
    };
    (kind, ContentBuilder::new().schema(Some(schema(form))))
}

fn parameters(operation: &Operation) -> Vec<Parameter> {
    let text = || Some(ObjectBuilder::new().schema_type(SchemaType::from(Type::String)).build());
    let in_path =
        operation.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = in_path.map(|name| {
        let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path);
        parameter.required(Required::True).schema(text()).build()
    });
    let in_query = operation.query.iter().map(|(name, about)| {
        let parameter = ParameterBuilder::new().name(*name).parameter_in(ParameterIn::Query);
        parameter.description(Some(*about)).required(Required::False).schema(text()).build()
    });
    in_path.chain(in_query).collect()
}

/// The whole description.
pub(crate) fn document() -> OpenApi {
    let mut paths = PathsBuilder::new();
    for operation in OPERATIONS {
        let (kind, answer) = content(operation.gives);
        let fine =
            ResponseBuilder::new().description(operation.about).content(kind, answer.build());
        let (kind, fault) = content(One("Fault"));
        let fault =
            ResponseBuilder::new().description("A refusal, in words.").content(kind, fault.build());
        let mut built = OperationBuilder::new()
            .operation_id(Some(operation.id()))
            .summary(Some(operation.about))
            .description(Some(format!("For the role {} and above.", operation.role.as_str())))
            .response(operation.status(), fine.build())
            .response("default", fault.build());
        for parameter in parameters(operation) {
            built = built.parameter(parameter);
        }
        if let Some(form) = operation.takes {
            let (kind, body) = content(form);
            let body = RequestBodyBuilder::new().content(kind, body.build());
            built = built.request_body(Some(body.required(Some(Required::True)).build()));
        }
        let method = match operation.method {
            Method::Get => HttpMethod::Get,
            Method::Post => HttpMethod::Post,
            Method::Patch => HttpMethod::Patch,
            Method::Delete => HttpMethod::Delete,
        };
        paths = paths.path(operation.path, PathItem::new(method, built.build()));
    }
    let mut info = Info::new("Entracte", env!("CARGO_PKG_VERSION"));
    info.description =
        Some("The media half of a contact centre: calls, sources, speech, settings.".to_owned());
    let mut document = OpenApi::new(info, paths.build());
    document.components = Some(components());
    document.security = Some(vec![
        SecurityRequirement::new("token", [""; 0]),
        SecurityRequirement::new("password", [""; 0]),
    ]);
    document
}

/// A page of calls.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it says only what the answer looks like")]
struct Calls {
    calls: Vec<view::Call>,
    /// Calls that fit the search.
    found: usize,
    /// All calls.
    all: usize,
    /// What the next page is asked with.
    next_after: Option<u64>,
}

/// Every key.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it says only what the answer looks like")]
struct Everything {
    pending: settings::Pending,
    fields: Vec<settings::Field>,
}

/// Changes, and the settings that they were made from.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it says only what the question looks like")]
struct Wanted {
    changes: Vec<settings::Change>,
    /// The base of a proposal; without it whatever is there is changed.
    base: Option<String>,
}

/// The text of earlier settings.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it says only what the answer looks like")]
struct Kept {
    number: u64,
    text: String,
}

/// Which capture.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it says only what the answer looks like")]
struct Named {
    name: String,
}

/// What a refusal has.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it says only what refusals look like")]
struct Fault {
    /// What is wrong, in words.
    error: String,
    /// Refused settings: what is wrong with which key.
    faults: Option<Vec<settings::FieldFault>>,
}

fn components() -> Components {
    let mut components = Components::new();
    macro_rules! add {
        ($($kind:ty),* $(,)?) => {$(
            components.schemas.insert(<$kind as ToSchema>::name().into_owned(), <$kind>::schema());
            let mut within = Vec::new();
            <$kind as ToSchema>::schemas(&mut within);
            components.schemas.extend(within);
        )*};
    }
    add!(
        view::About,
        view::Alarm,
        view::Call,
        view::Capabilities,
        view::CaptureFile,
        view::CaptureOrder,
        view::Delivery,
        view::Device,
        view::Engine,
        view::Finding,
        view::Happening,
        view::MailCounts,
        view::MailSentOn,
        mailbox::EmailRule,
        mailbox::EmailSend,
        mailbox::EmailAfter,
        view::MailServer,
        view::Resource,
        view::Source,
        view::Speech,
        view::Standing,
        settings::Applied,
        settings::Audited,
        settings::Change,
        settings::Field,
        settings::Pending,
        settings::Proposal,
        settings::Revision,
        Fault,
        Calls,
        Everything,
        Wanted,
        Kept,
        Named,
        mailbox::Checked,
        mailbox::Exported,
        mailbox::Moved,
        mailbox::Stats,
        mailbox::Mailbox,
        mailbox::Purged,
        crate::mail::BulkOrder,
        crate::mail::CheckOrder,
        crate::mail::Imported,
        crate::mail::Letter,
        crate::mail::MailboxChange,
        crate::mail::MailboxPassword,
        crate::mail::Mailboxes,
        crate::mail::Message,
        crate::mail::MessageChange,
        crate::mail::Messages,
        crate::mail::NewMailbox,
        crate::mail::Really,
        crate::mail::Sent,
        crate::mail::ToFolder,
    );
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    let basic = HttpBuilder::new().scheme(HttpAuthScheme::Basic).build();
    components.add_security_scheme("token", SecurityScheme::Http(bearer));
    components.add_security_scheme("password", SecurityScheme::Http(basic));
    components
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_what_there_is() {
        let routes = include_str!("routes.rs");
        let mut there: Vec<&str> =
            routes.split('"').filter(|text| text.starts_with("/api/v1/")).collect();
        there.sort_unstable();
        there.dedup();
        let mut told: Vec<&str> = OPERATIONS.iter().map(|operation| operation.path).collect();
        told.sort_unstable();
        told.dedup();
        assert_eq!(told, there);
    }

    #[test]
    fn every_form_that_is_named_is_described() {
        let document = serde_json::to_value(document()).unwrap();
        let known = document["components"]["schemas"].as_object().unwrap();
        let text = document.to_string();
        for part in text.split("#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(known.contains_key(name), "{name} is not described");
        }
        assert!(known["Source"]["properties"]["rms_dbfs"].is_object());
        assert_eq!(document["openapi"], "3.1.0");
        let mut ids: Vec<_> = OPERATIONS.iter().map(Operation::id).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), OPERATIONS.len());
    }
}
