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
    let page = format!("{base_url}/servers");
    let mut letters = Vec::new();
    for administrator in administrators {
        let (subject, text) = if administrator.language.as_deref() == Some("ru") {
            (
                format!("Почтовый сервер «{name}» остановлен"),
                format!(
                    "Почтовый сервер «{name}» ({address}) не принимает письма, и Skychimp их ему пока не передаёт.\n\n\
                     Ответ сервера: {reply}\n\n\
                     Ни одно письмо не потеряно: они ждут в очереди или уходят через другие серверы. Обычно дело в пароле или \
                     в исчерпанной квоте. Проверьте настройки и возобновите работу сервера: {page}\n\n\
                     Skychimp время от времени пробует сам и продолжит отправку, как только сервер снова примет письма.\n"
                ),
            )
        } else {
            (
                format!("Mail server \"{name}\" is paused"),
                format!(
                    "The mail server \"{name}\" ({address}) takes no letters, so Skychimp gives it none for now.\n\n\
                     It says: {reply}\n\n\
                     No letter is lost: they wait in the queue or go over other servers. Usually it is the password, or \
                     the quota is used up. Check its settings and resume it: {page}\n\n\
                     Skychimp tries it from time to time and goes on by itself as soon as it takes letters again.\n"
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
