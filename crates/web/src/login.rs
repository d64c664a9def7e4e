//! Coming in and going out.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::Form;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Deserialize;

use crate::accounts::{Account, Role, check_password, hash_password};
use crate::answers::{page, refused, see_other};
use crate::context::{Web, wall};
use crate::guard::{Peer, Proof, cookie_name, is_same_origin};
use crate::pages::Frame;
use crate::settings::Settings;
use crate::setup;
use crate::view::View;

/// Where everybody lands who came for no other page. S1 "Log on".
pub(crate) const LANDING: &str = "/status/about";
/// Letters of a user name.
const NAME_CHARS_MAX: usize = 64;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    frame: Frame<'a>,
    error: Option<&'a str>,
    user: &'a str,
    next: &'a str,
    plain: bool,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Next {
    #[serde(default)]
    next: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct LoginForm {
    user: String,
    password: String,
    #[serde(default)]
    next: String,
}

/// Only a path of ours: no other host by `//` or `\`, no second header by a line break.
fn ours(next: &str) -> &str {
    let path = next.strip_prefix('/').is_some_and(|rest| !rest.starts_with(['/', '\\']));
    let plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if path && plain { next } else { LANDING }
}

pub(crate) async fn form<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Query(Next { next }): Query<Next>,
) -> Response {
    let plain = !web.options.secure;
    let frame = Frame::outside("Log in");
    page(StatusCode::OK, &LoginPage { frame, error: None, user: "", next: ours(&next), plain })
}

pub(crate) async fn log_in<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Form(form): Form<LoginForm>,
) -> Response {
    if !is_same_origin(&headers) {
        return refused(StatusCode::FORBIDDEN, "log in on the page of this server");
    }
    let wrong = |status, error: &str| {
        let (user, next, plain) = (form.user.as_str(), ours(&form.next), !web.options.secure);
        let frame = Frame::outside("Log in");
        page(status, &LoginPage { frame, error: Some(error), user, next, plain })
    };
    match web.try_password(peer, &form.user, &form.password).await {
        Err(wait) => {
            let seconds = wait.as_secs() + 1;
            let why = format!("Too many failed log-ins. Try again in {seconds} s.");
            let mut response = wrong(StatusCode::TOO_MANY_REQUESTS, &why);
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            response
        }
        Ok(None) => wrong(StatusCode::UNAUTHORIZED, "Wrong user name or password."),
        Ok(Some(visitor)) => {
            let accounts = web.view.accounts();
            let Some(account) = accounts.user(&visitor.name) else {
                return wrong(StatusCode::UNAUTHORIZED, "Wrong user name or password.");
            };
            tracing::info!(target: "audit", user = ?visitor.name, from = %peer.ip(), "logged in");
            web.view.audit(&visitor.name, "logged in", &peer.ip().to_string());
            open(&web, account, ours(&form.next))
        }
    }
}

/// Begins a session and leads to `next`.
fn open<V: View + Settings>(web: &Web<V>, account: &Account, next: &str) -> Response {
    let id = match web.sessions.begin(account, web.now()) {
        Ok(id) => id,
        Err(error) => return refused(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    };
    let mut response = see_other(next);
    set_cookie(&mut response, web.options.secure, &id, "");
    response
}

fn set_cookie(response: &mut Response, secure: bool, id: &str, more: &str) {
    let name = cookie_name(secure);
    let only = if secure { "; Secure" } else { "" };
    let cookie = format!("{name}={id}; Path=/; HttpOnly; SameSite=Strict{only}{more}");
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
}

pub(crate) async fn log_out<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(proof): Extension<Proof>,
) -> Response {
    if let Proof::Session(id) = proof {
        web.sessions.end(&id);
    }
    let mut response = see_other("/login");
    set_cookie(&mut response, web.options.secure, "", "; Max-Age=0");
    // What the browser kept of pages is no longer theirs.
    let clear = HeaderValue::from_static("\"cache\"");
    response.headers_mut().insert("clear-site-data", clear);
    response
}

#[derive(Template)]
#[template(path = "setup.html")]
struct SetupPage<'a> {
    frame: Frame<'a>,
    /// The link opens; else the page says where a new one comes from.
    token: Option<&'a str>,
    error: Option<&'a str>,
    user: &'a str,
    plain: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct SetupForm {
    token: String,
    user: String,
    password: String,
    again: String,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct SetupLink {
    #[serde(default)]
    token: String,
}

pub(crate) async fn setup_form<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Query(SetupLink { token }): Query<SetupLink>,
) -> Response {
    let opens = setup::opens(&web.options.setup_file, &token, wall());
    let page_of = SetupPage {
        frame: Frame::outside("First administrator"),
        token: opens.then_some(token.as_str()),
        error: (!opens && !token.is_empty())
            .then_some("This link is used, replaced, or older than 15 minutes."),
        user: "",
        plain: !web.options.secure,
    };
    page(if opens { StatusCode::OK } else { StatusCode::FORBIDDEN }, &page_of)
}

pub(crate) async fn set_up<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Form(form): Form<SetupForm>,
) -> Response {
    if !is_same_origin(&headers) {
        return refused(StatusCode::FORBIDDEN, "use the page of this server");
    }
    let SetupForm { token, user, password, again } = form;
    let wrong = |status, token: Option<&str>, error: &str| {
        let frame = Frame::outside("First administrator");
        let plain = !web.options.secure;
        page(status, &SetupPage { frame, token, error: Some(error), user: &user, plain })
    };
    if !setup::opens(&web.options.setup_file, &token, wall()) {
        let why = "This link is used, replaced, or older than 15 minutes.";
        return wrong(StatusCode::FORBIDDEN, None, why);
    }
    let refused_name = check_name(&user).err();
    let refused_password = check_password(&password).err();
    let differ = (password != again).then(|| "The two passwords differ.".to_owned());
    if let Some(why) = refused_name.or(refused_password).or(differ) {
        return wrong(StatusCode::UNPROCESSABLE_ENTITY, Some(&token), &why);
    }
    let hashed = tokio::task::spawn_blocking(move || hash_password(&password)).await;
    let Ok(Ok(hash)) = hashed else {
        return refused(StatusCode::INTERNAL_SERVER_ERROR, "the password could not be hashed");
    };
    let Some(link) = setup::take(&web.options.setup_file, &token, wall()) else {
        let why = "This link is used, replaced, or older than 15 minutes.";
        return wrong(StatusCode::FORBIDDEN, None, why);
    };
    if let Err(why) = web.set_account(&user, Role::Administrator, &hash, "setup link").await {
        link.give_back();
        return wrong(StatusCode::INTERNAL_SERVER_ERROR, Some(&token), &why);
    }
    link.spend();
    tracing::info!(target: "audit", user = ?user, from = %peer.ip(), "administrator added by the one-time link");
    let accounts = web.view.accounts();
    match accounts.user(&user) {
        Some(account) => open(&web, account, "/welcome/1"),
        None => see_other("/login"),
    }
}

/// Whether somebody may be called this.
///
/// # Errors
/// In words, for whoever chose it.
pub fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
        return Err(format!("a user name has 1 to {NAME_CHARS_MAX} characters"));
    }
    if name.contains(|letter: char| letter.is_control() || letter == ':') || name.trim() != name {
        return Err("a user name has no colon, line break or space around it".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_log_in_only_pages_of_ours_are_led_to() {
        for (next, to) in [
            ("/status/server?q=a%20b", "/status/server?q=a%20b"),
            ("//evil.example/", LANDING),
            ("/\\evil.example", LANDING),
            ("https://evil.example/", LANDING),
            ("/a\r\nSet-Cookie: b=c", LANDING),
            ("/a b", LANDING),
            ("", LANDING),
        ] {
            assert_eq!(ours(next), to, "{next:?}");
        }
    }

    #[test]
    fn a_user_name_fits_a_basic_header() {
        for (name, fits) in [
            ("ada", true),
            ("Ada L. Ünal", true),
            ("", false),
            ("a:b", false),
            (" a", false),
            ("a\nb", false),
        ] {
            assert_eq!(check_name(name).is_ok(), fits, "{name:?}");
        }
    }
}
