//! Administration: who may come in, with which name and password; tokens of programs.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::{Extension, Form};
use serde::Deserialize;

use super::{Frame, plain};
use crate::accounts::{Role, Visitor, check_password, hash_password, hex, random_secret, sha256};
use crate::answers::page;
use crate::context::{USERS, Web, names_in, toml_text};
use crate::guard::Peer;
use crate::login::check_name;
use crate::settings::{Change, Field, Settings};
use crate::view::View;

/// The list of tokens.
const TOKENS: &str = "administration.tokens";

#[derive(Template)]
#[template(path = "administration.html")]
struct AdministrationPage<'a> {
    frame: Frame<'a>,
    me: &'a str,
    users: Vec<(String, Role)>,
    tokens: Vec<(String, Role)>,
    error: Option<String>,
    done: Option<String>,
    /// The secret of a token that was just made: it is shown once.
    secret: Option<String>,
    secure: bool,
}

/// What came of a change.
#[derive(Default)]
struct Outcome {
    error: Option<String>,
    done: Option<String>,
    secret: Option<String>,
}

impl Outcome {
    fn done(what: impl Into<String>) -> Self {
        Self { done: Some(what.into()), ..Self::default() }
    }

    fn error(why: impl Into<String>) -> Self {
        Self { error: Some(why.into()), ..Self::default() }
    }
}

fn show_page<V: View + Settings>(web: &Web<V>, visitor: &Visitor, outcome: Outcome) -> Response {
    let accounts = web.view.accounts();
    // Commands on this host are known by a token that stands in no setting.
    let listed = names_in(&web.view.fields(), TOKENS);
    let tokens = accounts.tokens.iter().filter(|token| listed.contains(&token.name));
    let status =
        if outcome.error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let Outcome { error, done, secret } = outcome;
    let content = AdministrationPage {
        frame: Frame::inside("Administration", "/administration", visitor),
        me: &visitor.name,
        users: accounts.users.iter().map(|user| (user.name.clone(), user.role)).collect(),
        tokens: tokens.map(|token| (token.name.clone(), token.role)).collect(),
        error,
        done,
        secret,
        secure: web.options.secure,
    };
    page(status, &content)
}

/// The entry of this name.
fn entry_of(fields: &[Field], list: &str, name: &str) -> Option<String> {
    let at = names_in(fields, list).iter().position(|known| known == name)?;
    Some(format!("{list}[{at}]"))
}

/// Whether somebody but `name` could administer.
fn leaves_one(fields: &[Field], name: &str) -> bool {
    let role = |at: usize| {
        let key = format!("{USERS}[{at}].role");
        let found =
            fields.iter().find(|field| field.key == key).and_then(|field| field.value.clone());
        // The role of who has none written.
        found.map_or_else(|| Role::Administrator.as_str().to_owned(), |role| plain(&role))
    };
    let mut others = names_in(fields, USERS).into_iter().enumerate();
    others.any(|(at, other)| other != name && role(at) == Role::Administrator.as_str())
}

pub(crate) async fn form<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
) -> Response {
    show_page(&web, &visitor, Outcome::default())
}

#[derive(Debug, Deserialize)]
pub(crate) struct Own {
    old_user: String,
    old_password: String,
    new_user: String,
    new_password: String,
    confirm: String,
}

/// Changes a name and a password, for who knows the old ones.
pub(crate) async fn change<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Extension(peer): Extension<Peer>,
    Form(form): Form<Own>,
) -> Response {
    let outcome = changed(&web, &visitor, peer, form).await;
    show_page(&web, &visitor, outcome.unwrap_or_else(Outcome::error))
}

async fn changed<V: View + Settings>(
    web: &Web<V>,
    visitor: &Visitor,
    peer: Peer,
    form: Own,
) -> Result<Outcome, String> {
    check_name(&form.new_user)?;
    check_password(&form.new_password)?;
    if form.new_password != form.confirm {
        return Err("The two new passwords differ.".to_owned());
    }
    let tried = web.try_password(peer, &form.old_user, &form.old_password).await;
    let known = tried.map_err(|wait| {
        format!("Too many failed log-ins. Try again in {} s.", wait.as_secs() + 1)
    })?;
    if known.is_none() {
        return Err("The old user name or password is wrong.".to_owned());
    }
    let hash = hashed(form.new_password).await?;
    web.change(&visitor.name, |fields| {
        let entry = entry_of(fields, USERS, &form.old_user)
            .ok_or("This account is not in the settings (any more).")?;
        let set = |key: &str, value: &str| Change::Set {
            key: format!("{entry}.{key}"),
            value: toml_text(value),
        };
        Ok(vec![set("name", &form.new_user), set("password_hash", &hash)])
    })
    .await?;
    Ok(Outcome::done(
        "The account is changed. Its sessions are ended: log in with the new password.",
    ))
}

async fn hashed(password: String) -> Result<String, String> {
    let hashed = tokio::task::spawn_blocking(move || hash_password(&password)).await;
    hashed.map_err(|_| "the password could not be hashed".to_owned())?
}

#[derive(Debug, Deserialize)]
pub(crate) struct NewUser {
    user: String,
    role: Role,
    password: String,
    again: String,
}

/// Adds somebody.
pub(crate) async fn add_user<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Form(form): Form<NewUser>,
) -> Response {
    let outcome = async {
        check_name(&form.user)?;
        check_password(&form.password)?;
        if form.password != form.again {
            return Err("The two passwords differ.".to_owned());
        }
        if web.view.accounts().user(&form.user).is_some() {
            return Err(format!("Somebody is called {:?} already.", form.user));
        }
        let hash = hashed(form.password).await?;
        web.set_account(&form.user, form.role, &hash, &visitor.name).await?;
        Ok(Outcome::done(format!("{} may come in as {}.", form.user, form.role)))
    };
    let outcome = outcome.await.unwrap_or_else(Outcome::error);
    show_page(&web, &visitor, outcome)
}

#[derive(Debug, Deserialize)]
pub(crate) struct Named {
    name: String,
}

/// Removes somebody; the last administrator stays.
pub(crate) async fn remove_user<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Form(Named { name }): Form<Named>,
) -> Response {
    let outcome = async {
        web.change(&visitor.name, |fields| {
            if !leaves_one(fields, &name) {
                return Err("This is the last administrator.".to_owned());
            }
            let entry = entry_of(fields, USERS, &name)
                .ok_or_else(|| format!("Nobody is called {name:?}."))?;
            Ok(vec![Change::Remove { entry }])
        })
        .await?;
        Ok::<_, String>(Outcome::done(format!("{name} may not come in any more.")))
    };
    let outcome = outcome.await.unwrap_or_else(Outcome::error);
    show_page(&web, &visitor, outcome)
}

#[derive(Debug, Deserialize)]
pub(crate) struct NewToken {
    name: String,
    role: Role,
}

/// Makes a token; its secret is shown once.
pub(crate) async fn add_token<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Form(form): Form<NewToken>,
) -> Response {
    let outcome = async {
        check_name(&form.name)?;
        let secret = random_secret().map_err(|error| error.to_string())?;
        let hash = hex(&sha256(secret.as_bytes()));
        web.change(&visitor.name, |fields| {
            let names = names_in(fields, TOKENS);
            if names.contains(&form.name) {
                return Err(format!("A token is called {:?} already.", form.name));
            }
            let set = |key: &str, value: &str| Change::Set {
                key: format!("{TOKENS}[{}].{key}", names.len()),
                value: toml_text(value),
            };
            Ok(vec![set("name", &form.name), set("role", form.role.as_str()), set("sha256", &hash)])
        })
        .await?;
        let done = Some(format!("The token {} is made.", form.name));
        Ok::<_, String>(Outcome { done, secret: Some(secret), error: None })
    };
    let outcome = outcome.await.unwrap_or_else(Outcome::error);
    show_page(&web, &visitor, outcome)
}

/// Removes a token.
pub(crate) async fn remove_token<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Form(Named { name }): Form<Named>,
) -> Response {
    let outcome = async {
        web.change(&visitor.name, |fields| {
            let entry = entry_of(fields, TOKENS, &name)
                .ok_or_else(|| format!("No token is called {name:?}."))?;
            Ok(vec![Change::Remove { entry }])
        })
        .await?;
        Ok::<_, String>(Outcome::done(format!("The token {name} opens nothing any more.")))
    };
    let outcome = outcome.await.unwrap_or_else(Outcome::error);
    show_page(&web, &visitor, outcome)
}
