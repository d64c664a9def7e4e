//! Help: the documents for administrators, in the program itself, and what the API has.

use std::sync::LazyLock;

use askama::Template;
use axum::Extension;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

use super::Frame;
use crate::accounts::Visitor;
use crate::answers::{page, refused};
use crate::openapi::{self, Operation};

/// A document: its address, its name, its text.
struct Document {
    path: &'static str,
    name: &'static str,
    /// The page as HTML.
    html: String,
}

static DOCUMENTS: LazyLock<Vec<Document>> = LazyLock::new(|| {
    let all = [
        ("troubleshooting", "Troubleshooting", include_str!("../../../../docs/troubleshooting.md")),
        ("glossary", "Glossary", include_str!("../../../../docs/glossary.md")),
        ("operating", "Operating", include_str!("../../../../docs/operating.md")),
    ];
    let made = |(path, name, text)| Document { path, name, html: to_html(text) };
    all.map(made).into()
});

/// The anchor of a heading, as code hosts make it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Where a link of a document leads on the pages; none when the pages do not have it.
fn target(link: &str) -> Option<String> {
    if link.starts_with("https:") || link.starts_with('#') {
        return Some(link.to_owned());
    }
    let (file, part) = link.split_once('#').map_or((link, None), |(file, part)| (file, Some(part)));
    let known = ["troubleshooting.md", "glossary.md", "operating.md"];
    let name = known.iter().find(|known| **known == file)?.strip_suffix(".md")?;
    Some(part.map_or_else(|| format!("/help/{name}"), |part| format!("/help/{name}#{part}")))
}

/// The words of the heading that these events begin within.
fn words<'a>(events: impl Iterator<Item = &'a Event<'a>>) -> String {
    let within = events.take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))));
    let mut words = String::new();
    for event in within {
        if let Event::Text(text) | Event::Code(text) = event {
            words.push_str(text);
        }
    }
    words
}

/// A document of ours as HTML. Its own title stands on the page already.
fn to_html(text: &str) -> String {
    let events: Vec<Event<'_>> = Parser::new_ext(text, Options::ENABLE_TABLES).collect();
    let (mut title, mut dead) = (false, false);
    let mut kept = Vec::with_capacity(events.len());
    for (at, event) in events.iter().enumerate() {
        let mut event = event.clone();
        if let Event::Start(Tag::Heading { level: HeadingLevel::H1, .. }) = event {
            title = true;
        } else if let Event::End(TagEnd::Heading(HeadingLevel::H1)) = event {
            title = false;
            continue;
        }
        if title {
            continue;
        }
        if let Event::Start(Tag::Heading { id, .. }) = &mut event {
            *id = Some(CowStr::from(anchor(&words(events.iter().skip(at + 1)))));
        } else if let Event::Start(Tag::Link { dest_url, .. }) = &mut event {
            match target(dest_url) {
                Some(found) => *dest_url = found.into(),
                // A file of the source: its name stays, the link goes.
                None => {
                    dead = true;
                    continue;
                }
            }
        } else if matches!(event, Event::End(TagEnd::Link)) && dead {
            dead = false;
            continue;
        }
        // A wide table scrolls by itself, by keyboard too.
        if matches!(event, Event::Start(Tag::Table(_))) {
            let open = "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table\">";
            kept.push(Event::Html(open.into()));
        }
        let closes = matches!(event, Event::End(TagEnd::Table));
        kept.push(event);
        if closes {
            kept.push(Event::Html("</div>".into()));
        }
    }
    let mut page = String::new();
    html::push_html(&mut page, kept.into_iter());
    page
}

#[derive(Template)]
#[template(path = "help.html")]
struct HelpPage<'a> {
    frame: Frame<'a>,
    html: &'a str,
}

/// One of the documents.
pub(crate) async fn document(
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Response {
    let Some(found) = DOCUMENTS.iter().find(|document| document.path == name) else {
        return refused(StatusCode::NOT_FOUND, "there is no such page of help");
    };
    let path = format!("/help/{name}");
    let frame = Frame::inside(found.name, &path, &visitor);
    page(StatusCode::OK, &HelpPage { frame, html: &found.html })
}

#[derive(Template)]
#[template(path = "api.html")]
struct ApiPage<'a> {
    frame: Frame<'a>,
    operations: &'a [Operation],
}

/// What programs can ask.
pub(crate) async fn api(Extension(visitor): Extension<Visitor>) -> Response {
    let frame = Frame::inside("API", "/help/api", &visitor);
    page(StatusCode::OK, &ApiPage { frame, operations: openapi::OPERATIONS })
}

/// The same for programs.
pub(crate) async fn openapi_json() -> Response {
    static TEXT: LazyLock<String> =
        LazyLock::new(|| openapi::document().to_json().unwrap_or_default());
    ([(header::CONTENT_TYPE, "application/json")], TEXT.as_str()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_become_pages_and_their_links_lead_somewhere() {
        let html = to_html(
            "# Title\n\n## What `sip` says?\n\n[a](glossary.md#x) [b](../README.md) [c](#what-sip-says)\n\n|a|b|\n|-|-|\n|1|<script>|\n",
        );
        assert!(
            html.contains("<h2 id=\"what-sip-says\">What <code>sip</code> says?</h2>"),
            "{html}"
        );
        assert!(html.contains("<a href=\"/help/glossary#x\">a</a> b <a href"), "{html}");
        assert!(!html.contains("Title"), "{html}");
        for document in &*DOCUMENTS {
            let html = &document.html;
            for part in html.split("href=\"#").skip(1) {
                let name = part.split('"').next().unwrap();
                assert!(html.contains(&format!("id=\"{name}\"")), "{}: #{name}", document.path);
            }
            for part in html.split("href=\"/help/").skip(1) {
                let link = part.split('"').next().unwrap();
                let (file, name) = link.split_once('#').unwrap_or((link, ""));
                let other = DOCUMENTS.iter().find(|other| other.path == file).unwrap();
                let there = name.is_empty() || other.html.contains(&format!("id=\"{name}\""));
                assert!(there, "{}: {link}", document.path);
            }
        }
    }
}
