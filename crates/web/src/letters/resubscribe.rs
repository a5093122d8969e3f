//! The letter that asks an address whether to get mail of an owner again.

use skychimp_core::accounts::user::User;
use skychimp_core::platform::site_name::SiteName;
use skychimp_core::recipients::unsubscribe::UnsubscribeToken;
use skychimp_core::sending::default_sender::sender_name;
use skychimp_core::sending::mailing::Mailing;
use skychimp_core::sending::outbox::{NewOutboxLetter, OutboxLetter};

use super::{LetterContent, RenderedLetter};
use crate::kit::app::App;
use crate::kit::error::WebError;
use crate::kit::i18n::Lang;
use crate::kit::page::PageContext;

/// Queues the letter, in the visitor's language. It comes from the sender of the mailing that the
/// token is about, or from the service if that mailing was deleted. `link` is the path below `/u/`.
pub(crate) async fn resubscribe(
    app: &App,
    page: &PageContext,
    token: &UnsubscribeToken,
    link: &str,
) -> Result<(), WebError> {
    let mut tx = app.db.write().await?;
    let Some(owner) = User::get(&mut tx, token.owner).await? else {
        return Ok(());
    };
    let mailing = Mailing::get(&mut tx, token.owner, token.mailing).await?;
    let site = app.settings.base_url.as_str().trim_end_matches('/');
    let name = SiteName::of(&mut tx).await?;
    let sender = sender_name(mailing.as_ref(), &owner);
    let letter = write(page.lang, (site, name), sender, token, link)?;
    let from = mailing.as_ref();
    let new = NewOutboxLetter {
        owner: Some(token.owner),
        kind: "resubscribe",
        email: token.email.as_str(),
        name: "",
        from_name: from.map_or("", |mailing| &mailing.from_name),
        from_email: from.map_or("", |mailing| &mailing.from_email),
        reply_to: from.map_or("", |mailing| &mailing.reply_to),
        subject: &letter.subject,
        html: &letter.html,
        text: &letter.text,
        site,
        unsubscribe: "",
    };
    OutboxLetter::enqueue(&mut tx, &new, page.now).await?;
    Ok(tx.commit().await?)
}

fn write(
    lang: Lang,
    (site, site_name): (&str, SiteName),
    sender: &str,
    token: &UnsubscribeToken,
    link: &str,
) -> Result<RenderedLetter, askama::Error> {
    let say = |key: &'static str| {
        let text = lang.t(key).with("owner", sender);
        text.with("email", token.email.as_str())
    };
    let content = LetterContent {
        subject: say("letter-resubscribe-subject").to_string(),
        greeting: lang.t("letter-hello"),
        text: say("letter-resubscribe-text").to_string(),
        button: say("letter-resubscribe-button"),
        link: format!("{site}/u/{link}"),
        note: say("letter-resubscribe-note"),
        site: site.to_owned(),
        site_name,
    };
    content.render(lang)
}
