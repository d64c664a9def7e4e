//! Administration: who may come in, with which name and password; tokens of programs.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::{Extension, Form};
use serde::Deserialize;

use super::Frame;
use crate::accounts::{
    Accounts, Role, Visitor, check_password, hash_password, hex, random_secret, sha256,
};
use crate::answers::page;
use crate::context::{Web, toml_text};
use crate::guard::Peer;
use crate::login::check_name;
use crate::settings::{Change, Settings};
use crate::view::View;

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
    let listed = set_names(&*web.view, "administration.tokens");
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

/// The names that a list of tables has, in its order.
fn set_names<V: Settings>(view: &V, list: &str) -> Vec<String> {
    let start = format!("{list}[");
    let fields = view.fields().into_iter();
    let names =
        fields.filter(|field| field.key.starts_with(&start) && field.key.ends_with("].name"));
    names.map(|field| super::config::plain(field.value.as_deref().unwrap_or_default())).collect()
}

/// The entry of this name.
fn entry_of<V: Settings>(view: &V, list: &str, name: &str) -> Option<String> {
    let at = set_names(view, list).iter().position(|known| known == name)?;
    Some(format!("{list}[{at}]"))
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
    let entry = entry_of(&*web.view, "administration.users", &form.old_user)
        .ok_or("This account is not in the settings (any more).")?;
    let hash = hashed(form.new_password).await?;
    let set = |key: &str, value: &str| Change::Set {
        key: format!("{entry}.{key}"),
        value: toml_text(value),
    };
    let changes = [set("name", &form.new_user), set("password_hash", &hash)];
    make(web, visitor, &changes).await?;
    Ok(Outcome::done(
        "The account is changed. Its sessions are ended: log in with the new password.",
    ))
}

async fn hashed(password: String) -> Result<String, String> {
    let hashed = tokio::task::spawn_blocking(move || hash_password(&password)).await;
    hashed.map_err(|_| "the password could not be hashed".to_owned())?
}

async fn make<V: View + Settings>(
    web: &Web<V>,
    visitor: &Visitor,
    changes: &[Change],
) -> Result<(), String> {
    let made = web.view.apply(changes, None, &visitor.name).await;
    made.map(|_| ()).map_err(|faults| {
        let words = faults.iter().map(|fault| format!("{} {}", fault.key, fault.what));
        words.collect::<Vec<_>>().join("; ")
    })
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
        web.set_account(&form.user, form.role, &hash, &visitor.name).await.map_err(|faults| {
            faults.iter().map(|fault| fault.what.clone()).collect::<Vec<_>>().join("; ")
        })?;
        Ok(Outcome::done(format!("{} may come in as {}.", form.user, form.role)))
    };
    let outcome = outcome.await.unwrap_or_else(Outcome::error);
    show_page(&web, &visitor, outcome)
}

#[derive(Debug, Deserialize)]
pub(crate) struct Named {
    name: String,
}

/// Whether somebody else could still administer.
fn leaves_one(accounts: &Accounts, name: &str) -> bool {
    let others = accounts.users.iter().filter(|user| user.name != name);
    others.into_iter().any(|user| user.role == Role::Administrator)
}

/// Removes somebody; the last administrator stays.
pub(crate) async fn remove_user<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Form(Named { name }): Form<Named>,
) -> Response {
    let outcome = async {
        if !leaves_one(&web.view.accounts(), &name) {
            return Err("This is the last administrator.".to_owned());
        }
        let entry = entry_of(&*web.view, "administration.users", &name)
            .ok_or_else(|| format!("Nobody is called {name:?}."))?;
        make(&web, &visitor, &[Change::Remove { entry }]).await?;
        Ok(Outcome::done(format!("{name} may not come in any more.")))
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
        let names = set_names(&*web.view, "administration.tokens");
        if names.contains(&form.name) {
            return Err(format!("A token is called {:?} already.", form.name));
        }
        let secret = random_secret().map_err(|error| error.to_string())?;
        let entry = format!("administration.tokens[{}]", names.len());
        let set = |key: &str, value: &str| Change::Set {
            key: format!("{entry}.{key}"),
            value: toml_text(value),
        };
        let hash = hex(&sha256(secret.as_bytes()));
        let changes =
            [set("name", &form.name), set("role", form.role.as_str()), set("sha256", &hash)];
        make(&web, &visitor, &changes).await?;
        let done = Some(format!("The token {} is made.", form.name));
        Ok(Outcome { done, secret: Some(secret), error: None })
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
        let entry = entry_of(&*web.view, "administration.tokens", &name)
            .ok_or_else(|| format!("No token is called {name:?}."))?;
        make(&web, &visitor, &[Change::Remove { entry }]).await?;
        Ok::<_, String>(Outcome::done(format!("The token {name} opens nothing any more.")))
    };
    let outcome = outcome.await.unwrap_or_else(Outcome::error);
    show_page(&web, &visitor, outcome)
}
