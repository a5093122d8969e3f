//! The mailing form: audience, message, schedule and sender, with a live preview of the plan.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use skychimp_core::accounts::submission::Arrival;
use skychimp_core::platform::db::Tx;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::{ListId, MailingId, MessageId, RecipientId, UserId};
use skychimp_core::platform::time::Timestamp;
use skychimp_core::recipients::list::{self, List, Members};
use skychimp_core::recipients::recipient::Recipient;
use skychimp_core::sending::default_sender::DefaultSender;
use skychimp_core::sending::mailing::{
    Audience, Begin, FromIdentity, InPlace, Mailing, MailingDraft, MailingEdit, MailingStatus,
    MessageChoice, StartConsent, StartQuestion,
};
use skychimp_core::sending::schedule::Frequency;

use super::start::{ConsentForm, Pressed, press, started};
use super::{back, found, in_zone, not_possible, service};
use crate::kit::app::AppState;
use crate::kit::auth::MailingUser;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Errors, Form, FormOutcome, OnceForm, Path, Query, checked, outcome};
use crate::kit::format;
use crate::kit::page::{AsTimestamp, PageContext, html, html_changed, html_wrong};

/// Most lists and messages offered.
const CHOICES: usize = 200;

/// The fields of the form.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct MailingForm {
    title: String,
    message: String,
    lists: Vec<ListId>,
    recipients: Vec<RecipientId>,
    from_name: String,
    from_email: String,
    reply_to: String,
    every: String,
    /// `now`: begin when Start is pressed; `at`: begin at `start`.
    begin: String,
    start: String,
    end: String,
    zone: String,
    version: i64,
    /// A message and a list to create together with the mailing.
    new_subject: String,
    new_text: String,
    new_list: String,
    new_people: String,
    /// `draft` or `start`.
    action: String,
    /// The answer to the question before many letters, as in a [`ConsentForm`].
    confirmed: String,
    late: String,
}

impl MailingForm {
    fn of(draft: MailingDraft, version: i64) -> Self {
        Self {
            title: draft.title,
            message: draft
                .message_id
                .map_or_else(String::new, |id| id.to_string()),
            lists: draft.lists,
            recipients: draft.recipients,
            from_name: draft.from_name,
            from_email: draft.from_email,
            reply_to: draft.reply_to,
            every: draft.every.as_str().to_owned(),
            begin: if draft.start.is_empty() { "now" } else { "at" }.to_owned(),
            start: draft.start,
            end: draft.end,
            zone: draft.zone,
            version,
            ..Self::default()
        }
    }

    /// The form as an edit of a mailing.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a frequency that is not offered.
    fn edit(&self) -> Result<MailingEdit, Error> {
        if !self.every.is_empty() {
            let every = self.every.parse::<Frequency>();
            every.map_err(|error| Error::Invalid(vec![error.into()]))?;
        }
        Ok(MailingEdit {
            draft: self.draft(),
            in_place: self.in_place(),
            version: self.version,
        })
    }

    fn consent(&self) -> StartConsent {
        ConsentForm::new(&self.confirmed, &self.late).consent()
    }

    fn in_place(&self) -> InPlace {
        InPlace {
            subject: self.new_subject.clone(),
            text: self.new_text.clone(),
            list: self.new_list.clone(),
            people: self.new_people.clone(),
        }
    }

    fn draft(&self) -> MailingDraft {
        MailingDraft {
            title: self.title.clone(),
            message_id: self.message.parse().ok(),
            lists: self.lists.clone(),
            recipients: self.recipients.clone(),
            from_name: self.from_name.clone(),
            from_email: self.from_email.clone(),
            reply_to: self.reply_to.clone(),
            every: self.every.parse().unwrap_or(Frequency::Once),
            begin: match self.begin.as_str() {
                "" => None,
                "now" => Some(Begin::Now),
                _ => Some(Begin::At),
            },
            start: self.start.clone(),
            end: self.end.clone(),
            zone: self.zone.clone(),
        }
    }
}

/// What the form would do: how many recipients, and when.
struct Plan {
    audience: Audience,
    next: Vec<Timestamp>,
    /// It begins later than now.
    later: bool,
    /// There is no date at which it would begin, so saving would be refused.
    refused: bool,
    /// Errors of the date fields.
    wrong: Errors,
    /// The zone in which dates are shown.
    zone: String,
}

impl Plan {
    async fn of(
        tx: &mut Tx,
        owner: UserId,
        draft: &MailingDraft,
        now: Timestamp,
    ) -> Result<Self, WebError> {
        let audience = Audience::of(tx, owner, &draft.lists, &draft.recipients).await?;
        let (next, wrong) = match draft.upcoming(now, 5) {
            Ok(next) => (next, Errors::none()),
            Err(Error::Invalid(wrong)) => (Vec::new(), Errors::from(wrong)),
            Err(error) => return Err(error.into()),
        };
        Ok(Self {
            audience,
            later: next.first().is_some_and(|at| *at > now),
            refused: next.is_empty(),
            wrong,
            next,
            zone: draft.zone.clone(),
        })
    }
}

impl Plan {
    /// Whether a date was chosen and is not given, or not whole.
    fn misses_start(&self) -> bool {
        let error = self.wrong.of("start");
        error.is_some_and(|error| error.code == "date_time")
    }

    fn time(&self, page: &PageContext, at: impl AsTimestamp) -> String {
        in_zone(page, &self.zone, at.at())
    }
}

#[derive(Template)]
#[template(path = "mailings/form.html")]
struct FormPage {
    page: PageContext,
    /// The mailing being edited; `None` for a new one.
    mailing: Option<Mailing>,
    form: MailingForm,
    errors: Errors,
    /// Somebody else changed it in the meantime.
    changed: bool,
    /// What is asked before it starts.
    question: Option<StartQuestion>,
    lists: Vec<(List, Members)>,
    messages: Vec<MessageChoice>,
    people: Vec<Recipient>,
    plan: Plan,
    service: FromIdentity,
    zones: Vec<String>,
}

impl FormPage {
    /// Opens transactions of its own: a handler has ended its one before.
    async fn new(
        app: &AppState,
        page: PageContext,
        owner: UserId,
        mailing: Option<Mailing>,
        form: MailingForm,
        errors: Errors,
    ) -> Result<Self, WebError> {
        let mut tx = app.db.read().await?;
        let draft = form.draft();
        let limit = i64::try_from(CHOICES).unwrap_or(i64::MAX);
        let messages = Mailing::message_choices(&mut tx, owner, draft.message_id, limit).await?;
        let lists = List::page(&mut tx, owner, &list::ListCursor::First, CHOICES)
            .await?
            .rows;
        let mut people = Vec::new();
        for id in &form.recipients {
            people.extend(Recipient::get(&mut tx, owner, *id).await?);
        }
        drop(tx);
        let plan = plan_of(app, owner, &form, page.now).await?;
        Ok(Self {
            page,
            mailing,
            form,
            errors,
            changed: false,
            question: None,
            lists,
            messages,
            people,
            plan,
            service: service(app),
            zones: format::zones(),
        })
    }

    /// The page again, with a question. Nothing is saved.
    async fn asking(
        app: &AppState,
        page: PageContext,
        owner: UserId,
        mailing: Option<Mailing>,
        form: MailingForm,
        question: StartQuestion,
    ) -> Result<Response, WebError> {
        let shown = Self::new(app, page, owner, mailing, form, Errors::none()).await?;
        html(&Self {
            question: Some(question),
            ..shown
        })
    }

    /// The page again, after an edit of `mailing` was refused.
    async fn refused(
        app: &AppState,
        page: PageContext,
        mailing: Mailing,
        mut form: MailingForm,
        error: Error,
    ) -> Result<Response, WebError> {
        let owner = mailing.owner_id;
        match outcome::<()>(Err(error))? {
            FormOutcome::Wrong(errors) => {
                html_wrong(&Self::new(app, page, owner, Some(mailing), form, errors).await?)
            }
            FormOutcome::Done(()) | FormOutcome::Changed => {
                // saving again overwrites the other version
                form.version = mailing.version;
                let none = Errors::none();
                let shown = Self::new(app, page, owner, Some(mailing), form, none).await?;
                html_changed(&Self {
                    changed: true,
                    ..shown
                })
            }
        }
    }

    /// Whether audience and schedule are fixed, because the mailing was started.
    fn settled(&self) -> bool {
        self.mailing
            .as_ref()
            .is_some_and(|mailing| mailing.status != MailingStatus::Created)
    }

    /// A time in the mailing's zone.
    fn time(&self, at: impl AsTimestamp) -> String {
        in_zone(&self.page, &self.form.zone, at.at())
    }

    /// Whether the mailing is completed or cancelled.
    fn over(&self) -> bool {
        self.mailing.as_ref().is_some_and(|m| {
            matches!(
                m.status,
                MailingStatus::Completed | MailingStatus::Cancelled
            )
        })
    }

    fn action(&self) -> String {
        match &self.mailing {
            Some(mailing) => format!("/mailings/{}", mailing.id),
            None => "/mailings".to_owned(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NewQuery {
    message: Option<MessageId>,
    list: Option<ListId>,
    recipient: Option<RecipientId>,
}

pub(super) async fn new(
    State(app): State<AppState>,
    page: PageContext,
    sender: MailingUser,
    Query(query): Query<NewQuery>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let from = DefaultSender::proposed(&mut tx, sender.id()).await?;
    drop(tx);
    let draft = MailingDraft {
        message_id: query.message,
        lists: query.list.into_iter().collect(),
        recipients: query.recipient.into_iter().collect(),
        from_name: from.from_name,
        from_email: from.from_email,
        reply_to: from.reply_to,
        zone: sender.0.zone.clone(),
        ..MailingDraft::default()
    };
    let form = MailingForm::of(draft, 0);
    html(&FormPage::new(&app, page, sender.id(), None, form, Errors::none()).await?)
}

pub(super) async fn create(
    State(app): State<AppState>,
    page: PageContext,
    sender: MailingUser,
    once: OnceForm<MailingForm>,
) -> Result<Response, WebError> {
    let (owner, actor, form) = (sender.id(), &sender.0.email, &once.form);
    let mut tx = app.db.write().await?;
    let arrival = once.register(&mut tx, owner, page.now).await?;
    if arrival != Arrival::First {
        return arrived(&app, page, &sender, tx, arrival, once.form).await;
    }
    let made = async {
        let id = Mailing::create_edited(&mut tx, owner, &form.edit()?, actor, page.now).await?;
        once.record_created(&mut tx, owner, id.0).await?;
        Ok(id)
    };
    let id = match checked(made.await)? {
        Ok(id) => id,
        Err(errors) => {
            drop(tx);
            return html_wrong(&FormPage::new(&app, page, owner, None, once.form, errors).await?);
        }
    };
    match pressed(&mut tx, &app, &page, &sender, id, form).await? {
        Pressed::Told(flash) => {
            tx.commit().await?;
            Ok(back(&page, id, flash))
        }
        Pressed::Asked(question) => {
            drop(tx);
            FormPage::asking(&app, page, owner, None, once.form, question).await
        }
    }
}

/// A form for a new mailing that was submitted before. If it is the same form, and the mailing was
/// not deleted since, see [`again`]. Otherwise it is shown again, as a form for another mailing.
async fn arrived(
    app: &AppState,
    page: PageContext,
    sender: &MailingUser,
    mut tx: Tx,
    arrival: Arrival,
    form: MailingForm,
) -> Result<Response, WebError> {
    let made = match arrival {
        Arrival::Again(id) => Mailing::get(&mut tx, sender.id(), MailingId(id)).await?,
        Arrival::First | Arrival::Other => None,
    };
    drop(tx);
    if let Some(made) = made {
        return again(app, &page, sender, &made, &form).await;
    }
    let errors = Errors::sent_before();
    html_wrong(&FormPage::new(app, page, sender.id(), None, form, errors).await?)
}

/// A repeated submission of the same form: redirects to the mailing it saved. Starts it if the form
/// asks for that and the mailing has not changed since.
async fn again(
    app: &AppState,
    page: &PageContext,
    sender: &MailingUser,
    made: &Mailing,
    form: &MailingForm,
) -> Result<Response, WebError> {
    let untouched = made.status == MailingStatus::Created && made.version == form.version + 1;
    if form.action == "start" && untouched {
        let tx = app.db.write().await?;
        return started(app, page, sender, tx, made.id, form.consent()).await;
    }
    Ok(back(page, made.id, Flash::note("form-arrived-before")))
}

/// Starts the mailing that a form saved, if the form asks for that, in the same transaction.
async fn pressed(
    tx: &mut Tx,
    app: &AppState,
    page: &PageContext,
    sender: &MailingUser,
    id: MailingId,
    form: &MailingForm,
) -> Result<Pressed, WebError> {
    if form.action == "start" {
        press(tx, app, page, sender, id, form.consent()).await
    } else {
        Ok(Pressed::Told(Flash::done("mailing-saved")))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct EditQuery {
    /// `at`: a date must be chosen.
    begin: String,
}

pub(super) async fn edit(
    State(app): State<AppState>,
    page: PageContext,
    sender: MailingUser,
    Path(id): Path<MailingId>,
    Query(query): Query<EditQuery>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let mailing = found(&mut tx, sender.id(), id).await?;
    if mailing.disabled_at.is_some() {
        return Ok(back(&page, id, not_possible("disabled")));
    }
    let draft = Mailing::draft_of(&mut tx, &mailing).await?;
    drop(tx);
    let mut form = MailingForm::of(draft, mailing.version);
    if query.begin == "at" {
        form.begin = query.begin;
    }
    html(&FormPage::new(&app, page, sender.id(), Some(mailing), form, Errors::none()).await?)
}

pub(super) async fn update(
    State(app): State<AppState>,
    page: PageContext,
    sender: MailingUser,
    Path(id): Path<MailingId>,
    once: OnceForm<MailingForm>,
) -> Result<Response, WebError> {
    let (owner, actor) = (sender.id(), &sender.0.email);
    let mut tx = app.db.write().await?;
    // waits for a concurrent submission of the same form, and reads what it saved
    let arrival = once.register(&mut tx, owner, page.now).await?;
    let mailing = found(&mut tx, owner, id).await?;
    if let Arrival::Again(_) = arrival {
        drop(tx);
        return again(&app, &page, &sender, &mailing, &once.form).await;
    }
    let done = async {
        let edit = once.form.edit()?;
        let found = mailing.edit(&mut tx, &edit, actor, page.now).await?;
        if arrival == Arrival::First {
            once.record_created(&mut tx, owner, id.0).await?;
        }
        Ok(found)
    };
    match done.await {
        Ok(Some(_)) => edited(&app, page, &sender, tx, mailing, once.form).await,
        Ok(None) => Err(WebError::NotFound),
        Err(Error::State(state)) => Ok(back(&page, id, not_possible(state))),
        Err(error) => {
            drop(tx);
            FormPage::refused(&app, page, mailing, once.form, error).await
        }
    }
}

/// Redirects to the mailing that was edited, or asks before it starts. Then nothing is saved.
async fn edited(
    app: &AppState,
    page: PageContext,
    sender: &MailingUser,
    mut tx: Tx,
    mailing: Mailing,
    form: MailingForm,
) -> Result<Response, WebError> {
    match pressed(&mut tx, app, &page, sender, mailing.id, &form).await? {
        Pressed::Told(flash) => {
            tx.commit().await?;
            Ok(back(&page, mailing.id, flash))
        }
        Pressed::Asked(question) => {
            drop(tx);
            FormPage::asking(app, page, sender.id(), Some(mailing), form, question).await
        }
    }
}

#[derive(Template)]
#[template(path = "mailings/plan.html")]
struct PlanPart {
    page: PageContext,
    plan: Plan,
}

/// The plan for the form's current content.
pub(super) async fn plan(
    State(app): State<AppState>,
    page: PageContext,
    sender: MailingUser,
    Form(form): Form<MailingForm>,
) -> Result<Response, WebError> {
    let plan = plan_of(&app, sender.id(), &form, page.now).await?;
    html(&PlanPart { page, plan })
}

/// What the form would send to whom. A list that it adds is created for the count, and not kept.
async fn plan_of(
    app: &AppState,
    owner: UserId,
    form: &MailingForm,
    now: Timestamp,
) -> Result<Plan, WebError> {
    let mut draft = form.draft();
    let added = InPlace {
        list: form.new_list.clone(),
        people: form.new_people.clone(),
        ..InPlace::default()
    };
    if added == InPlace::default() {
        return Plan::of(&mut app.db.read().await?, owner, &draft, now).await;
    }
    let mut tx = app.db.write().await?;
    match added.make(&mut tx, owner, &mut draft, now).await {
        Ok(()) | Err(Error::Invalid(_)) => {}
        Err(error) => return Err(error.into()),
    }
    // dropped without a commit
    Plan::of(&mut tx, owner, &draft, now).await
}
