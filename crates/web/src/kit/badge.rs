//! Label and colour of every state, defined once so that all pages agree.

use skychimp_core::accounts::user::User;
use skychimp_core::blog::post::PostState;
use skychimp_core::oversight::moderation::UserState;
use skychimp_core::oversight::overview::RecentMailing;
use skychimp_core::recipients::import::ImportState;
use skychimp_core::sending::attempt::AttemptOutcome;
use skychimp_core::sending::delivery::DeliveryState;
use skychimp_core::sending::mailing::{MailingState, MailingSummary};
use skychimp_core::sending::outbox::OutboxState;
use skychimp_core::sending::run::RunState;

/// A state: the sentence `{area}{name}` and a colour. `ui::badge` renders it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusBadge {
    /// Prefix of its sentence keys.
    pub area: &'static str,
    /// Name of the state.
    pub name: &'static str,
    /// `good`, `live`, `wait`, `bad`, or empty for neutral.
    pub tone: &'static str,
}

/// Something whose state pages show: `ui::badge(page, run.state)`.
pub trait HasStatus {
    /// Label and colour of the state.
    fn badge(&self) -> StatusBadge;
}

const fn badge(area: &'static str, name: &'static str, tone: &'static str) -> StatusBadge {
    StatusBadge { area, name, tone }
}

impl HasStatus for MailingState {
    fn badge(&self) -> StatusBadge {
        let tone = match self {
            MailingState::Created => "",
            MailingState::Scheduled | MailingState::Running => "live",
            MailingState::Paused => "wait",
            MailingState::Completed => "good",
            MailingState::Cancelled | MailingState::Disabled => "bad",
        };
        badge("status-", self.as_str(), tone)
    }
}

impl StatusBadge {
    /// Badge of a sending server, by the name that `core` uses for its state.
    #[must_use]
    pub fn server(state: &'static str) -> Self {
        let tone = match state {
            "closed" => "good",
            "probing" => "live",
            "open" | "limited" => "wait",
            "paused" => "bad",
            _ => "",
        };
        badge("servers-state-", state, tone)
    }
}

impl HasStatus for RunState {
    fn badge(&self) -> StatusBadge {
        let tone = match self {
            RunState::Expanding | RunState::Sending => "live",
            RunState::Paused | RunState::Skipped => "wait",
            RunState::Done => "good",
            RunState::Expired | RunState::Cancelled => "bad",
        };
        badge("run-state-", self.as_str(), tone)
    }
}

impl HasStatus for DeliveryState {
    fn badge(&self) -> StatusBadge {
        let tone = match self {
            DeliveryState::Queued => "",
            DeliveryState::Sent => "good",
            DeliveryState::Deferred | DeliveryState::Skipped => "wait",
            DeliveryState::Failed | DeliveryState::Expired | DeliveryState::Cancelled => "bad",
        };
        badge("delivery-", self.as_str(), tone)
    }
}

impl HasStatus for OutboxState {
    fn badge(&self) -> StatusBadge {
        let (name, tone) = match self {
            OutboxState::Queued | OutboxState::Claimed => ("queued", ""),
            OutboxState::Sent => ("sent", "good"),
            OutboxState::Deferred => ("deferred", "wait"),
            OutboxState::Failed => ("failed", "bad"),
        };
        badge("delivery-", name, tone)
    }
}

impl HasStatus for AttemptOutcome {
    fn badge(&self) -> StatusBadge {
        let tone = match self {
            AttemptOutcome::Sent => "good",
            AttemptOutcome::Deferred | AttemptOutcome::InDoubt => "wait",
            AttemptOutcome::Failed => "bad",
        };
        badge("outcome-", self.as_str(), tone)
    }
}

impl HasStatus for User {
    fn badge(&self) -> StatusBadge {
        let state = UserState::of(self);
        let tone = match state {
            UserState::Active => "good",
            UserState::Unverified => "wait",
            UserState::Blocked => "bad",
        };
        badge("user-", state.as_str(), tone)
    }
}

impl HasStatus for PostState {
    fn badge(&self) -> StatusBadge {
        let tone = match self {
            PostState::Published => "good",
            PostState::Scheduled => "wait",
            PostState::Draft | PostState::Unpublished => "",
        };
        badge("posts-state-", self.as_str(), tone)
    }
}

impl HasStatus for ImportState {
    fn badge(&self) -> StatusBadge {
        let (name, tone) = match self {
            ImportState::Uploaded => ("uploaded", "wait"),
            ImportState::Waiting => ("waiting", "wait"),
            ImportState::Running => ("running", "live"),
            ImportState::Done => ("done", "good"),
            ImportState::Failed => ("failed", "bad"),
        };
        badge("imports-state-", name, tone)
    }
}

impl HasStatus for MailingSummary {
    fn badge(&self) -> StatusBadge {
        self.state.badge()
    }
}

impl HasStatus for RecentMailing {
    fn badge(&self) -> StatusBadge {
        self.state.badge()
    }
}

impl HasStatus for StatusBadge {
    fn badge(&self) -> StatusBadge {
        *self
    }
}

impl<T: HasStatus> HasStatus for &T {
    fn badge(&self) -> StatusBadge {
        (**self).badge()
    }
}
