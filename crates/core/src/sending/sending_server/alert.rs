//! The letter that notifies administrators of a paused server.

use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::OutboxId;
use crate::platform::time::Timestamp;
use crate::sending::outbox::{NewOutboxLetter, OutboxLetter};

/// Kind of the letter in the outbox.
const KIND: &str = "server_paused";

#[derive(sqlx::FromRow)]
struct Administrator {
    email: String,
    name: String,
    language: Option<String>,
}

/// Queues a letter to every administrator that a server refuses our login or our quota is used up.
/// `reply` is what the server said.
pub async fn alert(
    tx: &mut Tx,
    name: &str,
    address: &str,
    reply: &str,
    base_url: &str,
    now: Timestamp,
) -> Result<Vec<OutboxId>, Error> {
    let administrators: Vec<Administrator> = on_db!(tx, conn => sqlx::query_as(
        "SELECT email, name, language FROM users WHERE role = 'admin' AND blocked_at IS NULL ORDER BY id",
    )
    .fetch_all(conn)
    .await)?;
    let page = format!("{}/manage/servers", base_url.trim_end_matches('/'));
    // what the server itself said begins with a code; the rest is in the words of the log
    let said = reply.bytes().take(3).filter(u8::is_ascii_digit).count() == 3;
    let mut letters = Vec::new();
    for administrator in administrators {
        let (subject, text) = if administrator.language.as_deref() == Some("ru") {
            let said = if said {
                format!("Ответ сервера: {reply}")
            } else {
                "Что именно не так, видно на странице сервера.".to_owned()
            };
            (
                format!("Почтовый сервер «{name}» приостановлен"),
                format!(
                    "Почтовый сервер «{name}» ({address}) не принимает письма, и Skychimp пока не отправляет их через него.\n\n\
                     {said}\n\n\
                     Ни одно письмо не потеряно: письма ждут в очереди или уходят через другие серверы. Обычно дело в пароле \
                     или в исчерпанной квоте. Проверьте настройки и нажмите «Попробовать сейчас»: {page}\n\n\
                     Время от времени Skychimp пробует и сам и продолжит отправку, как только сервер снова примет письма.\n"
                ),
            )
        } else {
            let said = if said {
                format!("The server’s reply: {reply}")
            } else {
                "The page of the server says what is wrong.".to_owned()
            };
            (
                format!("Mail server “{name}” is paused"),
                format!(
                    "The mail server “{name}” ({address}) does not accept letters, so Skychimp sends none through it for now.\n\n\
                     {said}\n\n\
                     No letter is lost: letters wait in the queue or go through other servers. Usually the password is wrong, \
                     or the quota is used up. Check the settings and press “Try now”: {page}\n\n\
                     Skychimp also tries by itself from time to time, and goes on sending as soon as the server accepts letters again.\n"
                ),
            )
        };
        let letter = NewOutboxLetter {
            owner: None,
            kind: KIND,
            email: &administrator.email,
            name: &administrator.name,
            from_name: "",
            from_email: "",
            reply_to: "",
            subject: &subject,
            html: "",
            text: &text,
            site: base_url,
            unsubscribe: "",
        };
        letters.push(OutboxLetter::enqueue(tx, &letter, now).await?);
    }
    Ok(letters)
}
