//! The service's own letters: HTML and text, in the reader's language.
//!
//! Which letter goes to whom is decided in `core`: its operations queue them through
//! [`SiteLetters`], in the transaction of the change they report. Workers send them (R28).

mod resubscribe;
mod summaries;
mod summary;

use askama::Template;
use skychimp_core::accounts::letter::{AccountLetter, AccountLetters, AddressedLetter};
use skychimp_core::accounts::user::User;
use skychimp_core::platform::db::Tx;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::site_name::SiteName;
use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::outbox::{NewOutboxLetter, OutboxLetter};
use url::Url;

pub(crate) use resubscribe::resubscribe;
pub use summaries::summaries;
pub use summary::summary;

use crate::kit::app::App;
use crate::kit::format;
use crate::kit::i18n::{Lang, Text};

/// Writes letters about accounts, with links to the site.
#[derive(Debug, Clone, Copy)]
pub struct SiteLetters<'a> {
    base_url: &'a Url,
}

impl<'a> SiteLetters<'a> {
    /// Letters of the site with this public URL.
    #[must_use]
    pub const fn new(base_url: &'a Url) -> Self {
        Self { base_url }
    }

    pub(crate) fn of(app: &'a App) -> Self {
        Self::new(&app.settings.base_url)
    }
}

impl AccountLetters for SiteLetters<'_> {
    async fn queue(
        &self,
        tx: &mut Tx,
        letter: &AddressedLetter<'_>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let site_name = SiteName::of(tx).await?;
        let written = write(self.base_url, site_name, letter, now);
        let written = written.map_err(|error| Error::Internal(error.to_string()))?;
        let new = NewOutboxLetter {
            subject: &written.subject,
            html: &written.html,
            text: &written.text,
            site: self.base_url.as_str(),
            ..NewOutboxLetter::about_account(letter)
        };
        OutboxLetter::enqueue(tx, &new, now).await.map(drop)
    }
}

/// Whether the letter says when the change was made.
fn tells_when(letter: &AccountLetter) -> bool {
    matches!(
        letter,
        AccountLetter::PasswordChanged
            | AccountLetter::SecondFactorOn
            | AccountLetter::SecondFactorOff
            | AccountLetter::PasskeyAdded
            | AccountLetter::PasskeyRemoved
            | AccountLetter::AccountDeleted
    )
}

/// Path of the link behind its button.
fn path(letter: &AccountLetter) -> String {
    match letter {
        AccountLetter::Verify(token) => format!("/verify/{}", token.to_text()),
        AccountLetter::Known(token)
        | AccountLetter::Reset(token)
        | AccountLetter::Invited(token) => {
            format!("/reset/{}", token.to_text())
        }
        AccountLetter::PasswordChanged
        | AccountLetter::SecondFactorOn
        | AccountLetter::SecondFactorOff
        | AccountLetter::PasskeyAdded
        | AccountLetter::PasskeyRemoved => "/forgot".to_owned(),
        AccountLetter::AccountDeleted => "/".to_owned(),
        AccountLetter::MailingRejected { .. } => "/mailings".to_owned(),
        AccountLetter::Colleague(token) => format!("/colleague/{}", token.to_text()),
        AccountLetter::ConfirmEmail(token) => format!("/email/{}", token.to_text()),
        AccountLetter::EmailChanged { undo, .. } => format!("/email/undo/{}", undo.to_text()),
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
    site_name: SiteName,
}

impl LetterContent {
    /// Both parts, in the frame that all letters of the service have.
    fn render(self, lang: Lang) -> Result<RenderedLetter, askama::Error> {
        let content = &self;
        Ok(RenderedLetter {
            html: HtmlPart { lang, content }.render()?,
            text: TextPart { lang, content }.render()?,
            subject: self.subject,
        })
    }
}

/// A finished letter.
struct RenderedLetter {
    subject: String,
    html: String,
    text: String,
}

/// The language of letters to this user. English if none is chosen.
fn language(user: &User) -> Lang {
    let chosen = user.language.as_deref();
    chosen.and_then(|l| l.parse().ok()).unwrap_or(Lang::En)
}

/// Renders a letter.
fn write(
    base_url: &Url,
    site_name: SiteName,
    addressed: &AddressedLetter<'_>,
    now: Timestamp,
) -> Result<RenderedLetter, askama::Error> {
    let AddressedLetter { user, letter, .. } = addressed;
    let lang = language(user);
    let site = base_url.as_str().trim_end_matches('/');
    let say = |part: &str| {
        let mut text = lang
            .t(format!("letter-{}-{part}", letter.kind()))
            .with("email", &user.email);
        if let AccountLetter::EmailChanged { to, .. } = letter {
            text = text.with("new", to);
        }
        if let AccountLetter::MailingRejected { title, reason } = letter {
            text = text.with("title", title).with("reason", reason);
        }
        if tells_when(letter) {
            let zone = jiff::tz::TimeZone::get(&user.zone).unwrap_or(jiff::tz::TimeZone::UTC);
            text = text.with("at", format::time(now, &zone, lang));
        }
        text
    };
    let greeting = if addressed.is_to_holder() {
        lang.t("letter-hello-name").with("name", &user.name)
    } else {
        lang.t("letter-hello")
    };
    let content = LetterContent {
        subject: say("subject").to_string(),
        greeting,
        text: say("text").to_string(),
        button: say("button"),
        link: format!("{site}{}", path(letter)),
        note: say("note"),
        site: site.to_owned(),
        site_name,
    };
    content.render(lang)
}
