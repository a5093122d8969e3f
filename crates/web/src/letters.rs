//! The service's own letters: HTML and text, in the reader's language, queued in the outbox.
//!
//! They are written in the transaction of the change they report, so that neither exists without
//! the other. Workers send them (R28).
//!
//! *Design note*: letters to unverified addresses contain nothing that a visitor typed, not even a
//! name. Otherwise strangers could use the service to send their own text to anyone.

mod summary;

use askama::Template;
use skychimp_core::accounts::token::Token;
use skychimp_core::accounts::user::User;
use skychimp_core::platform::db::Tx;
use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::outbox::{NewOutboxLetter, OutboxLetter};
use url::Url;

pub use summary::summary;

use crate::kit::app::App;
use crate::kit::error::WebError;
use crate::kit::format;
use crate::kit::i18n::{Lang, Text};

/// Kinds of letters.
#[derive(Debug)]
pub(crate) enum ServiceLetter<'a> {
    /// Verify your address.
    Verify(&'a Token),
    /// Someone, perhaps you, tried to register, but you already have an account.
    Known(&'a Token),
    /// Set a new password.
    Reset(&'a Token),
    /// Your password was changed.
    PasswordChanged,
    /// Two-step sign-in was turned on.
    SecondFactorOn,
    /// Two-step sign-in was turned off.
    SecondFactorOff,
    /// A passkey was added.
    PasskeyAdded,
    /// The account was deleted.
    AccountDeleted,
    /// Confirm this new address.
    ConfirmEmail(&'a Token),
    /// This is no longer your address. Holds the new address, and a token to undo the change.
    EmailChanged(&'a str, &'a Token),
}

impl ServiceLetter<'_> {
    /// Its kind in the outbox and in the keys of its sentences.
    fn kind(&self) -> &'static str {
        match self {
            Self::Verify(_) => "verify",
            Self::Known(_) => "known",
            Self::Reset(_) => "reset",
            Self::PasswordChanged => "password-changed",
            Self::SecondFactorOn => "second-factor-on",
            Self::SecondFactorOff => "second-factor-off",
            Self::PasskeyAdded => "passkey-added",
            Self::AccountDeleted => "account-deleted",
            Self::ConfirmEmail(_) => "confirm-email",
            Self::EmailChanged(..) => "email-changed",
        }
    }

    /// Whether the letter says when the change was made.
    fn tells_when(&self) -> bool {
        matches!(
            self,
            Self::PasswordChanged
                | Self::SecondFactorOn
                | Self::SecondFactorOff
                | Self::PasskeyAdded
                | Self::AccountDeleted
        )
    }

    /// Path of the link behind its button.
    fn path(&self) -> String {
        match self {
            Self::Verify(token) => format!("/verify/{}", token.to_text()),
            Self::Known(token) | Self::Reset(token) => format!("/reset/{}", token.to_text()),
            Self::PasswordChanged
            | Self::SecondFactorOn
            | Self::SecondFactorOff
            | Self::PasskeyAdded => "/forgot".to_owned(),
            Self::AccountDeleted => "/".to_owned(),
            Self::ConfirmEmail(token) => format!("/email/{}", token.to_text()),
            Self::EmailChanged(_, token) => format!("/email/undo/{}", token.to_text()),
        }
    }
}

#[derive(Template)]
#[template(path = "letters/letter.html")]
struct HtmlPart<'a> {
    lang: Lang,
    content: &'a LetterContent,
}

#[derive(Template)]
#[template(path = "letters/letter.txt")]
struct TextPart<'a> {
    lang: Lang,
    content: &'a LetterContent,
}

struct LetterContent {
    subject: String,
    greeting: Text,
    text: String,
    button: Text,
    link: String,
    note: Text,
    site: String,
}

/// A finished letter.
struct RenderedLetter {
    subject: String,
    html: String,
    text: String,
}

/// Queues a letter to `email` about the account `user`. Wake the engine after the commit.
pub(crate) async fn send(
    tx: &mut Tx,
    app: &App,
    user: &User,
    email: &str,
    letter: &ServiceLetter<'_>,
    now: Timestamp,
) -> Result<(), WebError> {
    let familiar = user.verified_at.is_some() && user.email == email;
    let written = write(&app.settings.base_url, user, letter, familiar, now)?;
    let site = &app.settings.base_url;
    enqueue(tx, site, user, email, letter, &written, now).await
}

/// Changes by an operator that users are told about.
#[derive(Debug, Clone, Copy)]
pub enum AccountNotice {
    /// The operator set a password.
    PasswordChanged,
    /// The operator turned two-step sign-in off.
    SecondFactorOff,
    /// The operator deleted the account.
    AccountDeleted,
}

/// Queues a letter to `user`, for programs without a site. Wake the engine after the commit.
pub async fn tell(
    tx: &mut Tx,
    base_url: &Url,
    user: &User,
    what: AccountNotice,
    now: Timestamp,
) -> Result<(), WebError> {
    let letter = match what {
        AccountNotice::PasswordChanged => ServiceLetter::PasswordChanged,
        AccountNotice::SecondFactorOff => ServiceLetter::SecondFactorOff,
        AccountNotice::AccountDeleted => ServiceLetter::AccountDeleted,
    };
    let written = write(base_url, user, &letter, user.verified_at.is_some(), now)?;
    enqueue(tx, base_url, user, &user.email, &letter, &written, now).await
}

async fn enqueue(
    tx: &mut Tx,
    site: &Url,
    user: &User,
    email: &str,
    letter: &ServiceLetter<'_>,
    written: &RenderedLetter,
    now: Timestamp,
) -> Result<(), WebError> {
    let familiar = user.verified_at.is_some() && user.email == email;
    let new = NewOutboxLetter {
        // without an owner, so that it survives the deletion of the account
        owner: (!matches!(letter, ServiceLetter::AccountDeleted)).then_some(user.id),
        kind: letter.kind(),
        email,
        name: if familiar { &user.name } else { "" },
        from_name: "",
        from_email: "",
        reply_to: "",
        subject: &written.subject,
        html: &written.html,
        text: &written.text,
        site: site.as_str(),
    };
    OutboxLetter::enqueue(tx, &new, now).await?;
    Ok(())
}

/// The language of letters to this user. English if none is chosen.
fn language(user: &User) -> Lang {
    let chosen = user.language.as_deref();
    chosen.and_then(|l| l.parse().ok()).unwrap_or(Lang::En)
}

/// Renders a letter. `familiar`: the reader is known to be the account's holder.
fn write(
    base_url: &Url,
    user: &User,
    letter: &ServiceLetter<'_>,
    familiar: bool,
    now: Timestamp,
) -> Result<RenderedLetter, WebError> {
    let lang = language(user);
    let site = base_url.as_str().trim_end_matches('/');
    let say = |part: &str| {
        let mut text = lang
            .t(format!("letter-{}-{part}", letter.kind()))
            .with("email", &user.email);
        if let ServiceLetter::EmailChanged(new, _) = letter {
            text = text.with("new", *new);
        }
        if letter.tells_when() {
            let zone = jiff::tz::TimeZone::get(&user.zone).unwrap_or(jiff::tz::TimeZone::UTC);
            text = text.with("at", format::time(now, &zone, lang));
        }
        text
    };
    let greeting = if familiar {
        lang.t("letter-hello-name").with("name", &user.name)
    } else {
        lang.t("letter-hello")
    };
    let content = LetterContent {
        subject: say("subject").to_string(),
        greeting,
        text: say("text").to_string(),
        button: say("button"),
        link: format!("{site}{}", letter.path()),
        note: say("note"),
        site: site.to_owned(),
    };
    let html = HtmlPart {
        lang,
        content: &content,
    };
    let text = TextPart {
        lang,
        content: &content,
    };
    Ok(RenderedLetter {
        html: html.render()?,
        text: text.render()?,
        subject: content.subject,
    })
}
