//! The letter to the owner of a mailing that was paused because its letters take too much work.

use crate::accounts::user::User;
use crate::platform::db::Tx;
use crate::platform::error::Error;
use crate::platform::ids::{MailingId, UserId};
use crate::platform::time::Timestamp;
use crate::sending::mailing::Mailing;
use crate::sending::outbox::{NewOutboxLetter, OutboxLetter};

/// Kind of the letter in the outbox.
const KIND: &str = "mailing_too_slow";

/// Queues the letter.
pub(super) async fn alert(
    tx: &mut Tx,
    owner: UserId,
    mailing: MailingId,
    base_url: &str,
    now: Timestamp,
) -> Result<(), Error> {
    let Some(user) = User::get(tx, owner).await? else {
        return Ok(());
    };
    let Some(mailing) = Mailing::get(tx, owner, mailing).await? else {
        return Ok(());
    };
    let title = &mailing.title;
    let page = format!("{}/mailings/{}", base_url.trim_end_matches('/'), mailing.id);
    let (subject, text) = if user.language.as_deref() == Some("ru") {
        (
            format!("Рассылка «{title}» приостановлена"),
            format!(
                "Письма рассылки «{title}» слишком долго собирать, поэтому она приостановлена.\n\n\
                 Обычно дело в фильтрах и циклах по длинным значениям: персональные поля таких писем обрабатывают \
                 слишком много текста. Ни одно письмо не потеряно и не отклонено: те, что ещё не ушли, ждут.\n\n\
                 Упростите сообщение и запустите новую рассылку тем, кому письмо не ушло, или исправьте длинные \
                 значения у получателей и нажмите «Продолжить»: {page}\n"
            ),
        )
    } else {
        (
            format!("The mailing “{title}” is paused"),
            format!(
                "The letters of the mailing “{title}” take too long to make, so it is paused.\n\n\
                 Usually the reason is filters and loops over long values: the personal fields of these letters process \
                 too much text. No letter is lost, and none has failed: unsent letters are waiting.\n\n\
                 Simplify the message and start a new mailing to the people who have not received it, or correct the \
                 long values of recipients and press “Resume”: {page}\n"
            ),
        )
    };
    let letter = NewOutboxLetter {
        owner: Some(owner),
        kind: KIND,
        email: &user.email,
        name: &user.name,
        from_name: "",
        from_email: "",
        reply_to: "",
        subject: &subject,
        html: "",
        text: &text,
        site: base_url,
        unsubscribe: "",
    };
    OutboxLetter::enqueue(tx, &letter, now).await.map(|_| ())
}
