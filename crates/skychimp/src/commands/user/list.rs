//! `skychimp user list` and `show`.

use serde_json::{Value, json};
use skychimp_core::accounts::user::Role;
use skychimp_core::oversight::moderation::{ModeratedUser, Moderator, UserFilter, UserState};
use skychimp_core::platform::ids::UserId;

use super::{by_email, role};
use crate::exit::Exit;
use crate::out;
use crate::program::Program;

/// Accounts read per page.
const SLICE: usize = 500;

/// List accounts, newest first.
#[derive(Debug, clap::Args)]
pub struct List {
    /// Part of the address or name.
    #[arg(long, default_value = "")]
    search: String,

    /// Only accounts in this state: active, unverified or blocked.
    #[arg(long, value_parser = state)]
    state: Option<UserState>,

    /// Only accounts with this role: user, manager, content_manager or admin.
    #[arg(long, value_parser = role)]
    role: Option<Role>,
}

impl List {
    pub(super) async fn run(self, program: &Program) -> anyhow::Result<Exit> {
        let db = program.database().await?;
        let mut found: Vec<ModeratedUser> = Vec::new();
        loop {
            let filter = UserFilter {
                search: &self.search,
                state: self.state,
                role: self.role,
                after: found.last().map(|seen| seen.user.id),
            };
            let mut tx = db.read().await?;
            let limit = i64::try_from(SLICE)?;
            let slice = Moderator::command().users(&mut tx, filter, limit).await?;
            let over = slice.len() < SLICE;
            found.extend(slice);
            if over {
                break;
            }
        }
        db.close().await;
        if program.json {
            out::json(&found.iter().map(value).collect::<Vec<_>>())?;
            return Ok(Exit::Done);
        }
        let rows = found
            .iter()
            .map(|seen| {
                [
                    seen.user.email.clone(),
                    seen.user.name.clone(),
                    seen.user.role.as_str().to_owned(),
                    UserState::of(&seen.user).as_str().to_owned(),
                    seen.mailings.to_string(),
                    seen.sent.to_string(),
                    seen.seen_at.map_or_else(String::new, |at| at.to_string()),
                ]
            })
            .collect();
        let header = ["email", "name", "role", "state", "mailings", "sent", "seen"];
        out::table(Some(header), rows)?;
        Ok(Exit::Done)
    }
}

/// Show an account's state, contents and sending volume.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// E-mail address of the account.
    email: String,
}

impl Show {
    pub(super) async fn run(self, program: &Program) -> anyhow::Result<Exit> {
        let db = program.database().await?;
        let mut tx = db.read().await?;
        let id: UserId = by_email(&mut tx, &self.email).await?.id;
        let moderator = Moderator::command();
        let seen = moderator.user(&mut tx, id).await?;
        let volume = moderator.volume(&mut tx, id, program.clock.now()).await?;
        drop(tx);
        db.close().await;
        let Some(seen) = seen else {
            anyhow::bail!("there is no user {}", self.email);
        };
        let mut shown = value(&seen);
        shown["volume"] = serde_json::to_value(&volume)?;
        if program.json {
            out::json(&shown)?;
            return Ok(Exit::Done);
        }
        let rows = flat(&shown);
        out::table(None, rows)?;
        Ok(Exit::Done)
    }
}

/// The account as JSON.
fn value(seen: &ModeratedUser) -> Value {
    let user = &seen.user;
    json!({
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "role": user.role,
        "state": UserState::of(user),
        "created_at": user.created_at,
        "verified_at": user.verified_at,
        "blocked_at": user.blocked_at,
        "blocked_reason": seen.blocked_reason,
        "seen_at": seen.seen_at,
        "mailings": seen.mailings,
        "sent": seen.sent,
        "failed": seen.failed,
    })
}

/// Flattens nested JSON into name and value rows for a table.
fn flat(shown: &Value) -> Vec<[String; 2]> {
    let mut rows = Vec::new();
    for (name, value) in shown.as_object().into_iter().flatten() {
        match value {
            Value::Null => {}
            Value::Object(_) => rows.extend(flat(value)),
            Value::String(text) => rows.push([name.clone(), text.clone()]),
            other => rows.push([name.clone(), other.to_string()]),
        }
    }
    rows
}

fn state(text: &str) -> Result<UserState, &'static str> {
    text.parse()
        .map_err(|()| "it is none of active, unverified, blocked")
}
