//! Making letters: ordinary ones between others, those that take long on threads of their own.

use std::sync::Arc;

use skychimp_core::sending::delivery::Claim;
use skychimp_core::sending::outbox::OutboxNext;

use super::{DeliveryWorker, ReadyEmail};
use crate::letter_writer::{LetterError, MadeLetter, RunTemplate};
use crate::queue::QueuedEmail;
use crate::recorder::RecordEvent;
use crate::upstream_pool::DomainPermit;

impl DeliveryWorker {
    /// Makes the letter. If that fails, the delivery has failed; if it only took too much work, it
    /// waits, and after a few such letters its mailing is paused.
    pub(super) async fn write(
        &self,
        email: QueuedEmail,
        domain_permit: Option<DomainPermit>,
    ) -> Option<ReadyEmail> {
        let (email, made) = self.made(email).await;
        match (made, email) {
            (Ok(made), email) => Some(ReadyEmail {
                email,
                letter: made.letter,
                cost: made.cost,
                domain_permit,
                counted: false,
            }),
            (Err(error), QueuedEmail::Letter { claim, .. }) if !error.is_too_slow() => {
                self.context
                    .letters
                    .attempted(self.context.letters.render_failure(&claim, error), None);
                None
            }
            (
                Err(_),
                QueuedEmail::Letter {
                    claim, template, ..
                },
            ) => {
                self.took_too_long(&claim, &template);
                None
            }
            (Err(error), QueuedEmail::Outbox(letter)) => {
                self.context.letters.counts.gone(None);
                self.context.letters.event(RecordEvent::Outbox {
                    id: letter.id,
                    next: OutboxNext::Failed,
                    code: None,
                    reply: error.reason,
                });
                None
            }
        }
    }

    async fn made(&self, email: QueuedEmail) -> (QueuedEmail, Result<MadeLetter, LetterError>) {
        let writer = &self.context.env.writer;
        let (claim, template) = match &email {
            QueuedEmail::Outbox(letter) => {
                let made = writer.outbox(letter);
                return (email, made);
            }
            QueuedEmail::Letter { template, .. } if template.is_given_up() => {
                return (email, Err(LetterError::too_slow()));
            }
            QueuedEmail::Letter {
                claim, template, ..
            } => (claim, template),
        };
        if let Some(made) = writer.quick_letter(template, claim) {
            return (email, made);
        }
        let _counted = self.context.letters.queue.making(claim.owner);
        // the semaphore is never closed
        let thread = self.context.makers.acquire().await.ok();
        let (context, template) = (Arc::clone(&self.context), Arc::clone(template));
        let work = move || {
            let made = match &email {
                QueuedEmail::Letter { claim, .. } => {
                    context.env.writer.heavy_letter(&template, claim)
                }
                QueuedEmail::Outbox(letter) => context.env.writer.outbox(letter),
            };
            (email, made)
        };
        let made = tokio::task::spawn_blocking(work).await;
        drop(thread);
        match made {
            Ok(made) => made,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // the runtime ends, and this task with it
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// Puts the letter aside; pauses the mailing if there have been several.
    fn took_too_long(&self, claim: &Claim, template: &RunTemplate) {
        let letters = &self.context.letters;
        if template.is_too_slow() {
            tracing::warn!(
                run.id = %claim.run,
                mailing.id = %template.run.mailing_id,
                "letters of a run take too much work, its mailing is paused"
            );
            letters.event(RecordEvent::TooSlow(template.run));
        }
        letters.put_aside(claim);
    }
}
