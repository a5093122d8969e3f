//! `skychimp user limits` and `approve`.

use std::collections::BTreeMap;

use skychimp_core::accounts::account_limit::{AccountPolicy, LIMITS, Limits, OwnLimits};
use skychimp_core::oversight::moderation::Moderator;

use super::{by_email, moderate};
use crate::exit::{Exit, WrongUse};
use crate::out;
use crate::program::Program;

/// Show or change what an account may use.
///
/// Without --limit it shows each limit: the account's own value, and the one that counts.
#[derive(Debug, clap::Args)]
pub struct SetLimits {
    /// E-mail address of the account.
    email: String,

    /// A limit and its new value, for example letters_per_day=1000. Empty for the default,
    /// `unlimited` for no limit. May be given several times; other limits stay.
    #[arg(long = "limit", value_name = "LIMIT=VALUE", requires = "reason")]
    limits: Vec<String>,

    /// Reason, for the audit log.
    #[arg(long, default_value = "")]
    reason: String,
}

impl SetLimits {
    pub(super) async fn run(self, program: &Program) -> anyhow::Result<Exit> {
        let wanted = self.wanted()?;
        let db = program.database().await?;
        let mut tx = db.write().await?;
        let user = by_email(&mut tx, &self.email).await?;
        let own = OwnLimits::load(&mut tx, user.id).await?.unwrap_or_default();
        if !wanted.is_empty() {
            let texts: BTreeMap<_, _> =
                LIMITS.iter().map(|row| (row.name, own.text(row))).collect();
            let field = |name: &str| {
                let own = || texts.get(name).map_or("", String::as_str);
                wanted.get(name).map_or_else(own, String::as_str)
            };
            let now = program.clock.now();
            let done = Moderator::command()
                .set_limits(&mut tx, user.id, field, &self.reason, now)
                .await?;
            tx.commit().await?;
            db.close().await;
            return moderate::told(program, done == Some(true), "limits changed");
        }
        let is_new = Limits::is_new(&mut tx, user.id).await?;
        let limits = Limits::new(&AccountPolicy::of(&tx), &own, is_new);
        drop(tx);
        db.close().await;
        if program.json {
            let rows = LIMITS.iter().map(|row| {
                let own = Some(own.text(row)).filter(|text| !text.is_empty());
                let value = limits.get(row.limit);
                (row.name, serde_json::json!({ "own": own, "value": value }))
            });
            out::json(&rows.collect::<BTreeMap<_, _>>())?;
            return Ok(Exit::Done);
        }
        let rows = LIMITS.iter().map(|row| {
            let counts = row.text(limits.get(row.limit));
            [row.name.to_owned(), own.text(row), counts]
        });
        out::table(Some(["limit", "own", "counts"]), rows.collect())?;
        Ok(Exit::Done)
    }

    /// The values by name.
    fn wanted(&self) -> Result<BTreeMap<String, String>, WrongUse> {
        let mut wanted = BTreeMap::new();
        for one in &self.limits {
            let (name, value) = one
                .split_once('=')
                .filter(|(name, _)| LIMITS.iter().any(|row| row.name == *name))
                .ok_or_else(|| {
                    let names = LIMITS.map(|row| row.name).join(", ");
                    WrongUse(format!(
                        "--limit {one}: it needs LIMIT=VALUE; limits are {names}"
                    ))
                })?;
            wanted.insert(name.to_owned(), value.to_owned());
        }
        Ok(wanted)
    }
}

/// Approve a new account: its mailings are sent without the limits of new accounts.
#[derive(Debug, clap::Args)]
pub struct Approve {
    /// E-mail address of the account.
    email: String,

    /// Reason, for the audit log.
    #[arg(long, default_value = "")]
    reason: String,
}

impl Approve {
    pub(super) async fn run(self, program: &Program) -> anyhow::Result<Exit> {
        let db = program.database().await?;
        let mut tx = db.write().await?;
        let user = by_email(&mut tx, &self.email).await?;
        let done = Moderator::command()
            .approve_account(&mut tx, user.id, &self.reason, program.clock.now())
            .await?;
        tx.commit().await?;
        db.close().await;
        moderate::told(program, done == Some(true), "approved")
    }
}
