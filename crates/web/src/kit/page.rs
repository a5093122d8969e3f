//! What every page knows about its visitor: account, language, time zone and theme.
//!
//! A middleware creates one [`PageContext`] per request. Handlers take it as an argument and pass
//! it to their template as `page`, whose methods format sentences, numbers and times.

use std::sync::{Arc, OnceLock};

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use jiff::tz::TimeZone;
use skychimp_core::accounts::required_factor::FactorStanding;
use skychimp_core::accounts::session::SessionToken;
use skychimp_core::accounts::user::User;
use skychimp_core::blog::post::Editor;
use skychimp_core::oversight::moderation::Moderator;
use skychimp_core::platform::error::FieldError;
use skychimp_core::platform::ids::{PostId, ServerId, UserId};
use skychimp_core::platform::secret::SigningKey;
use skychimp_core::platform::time::Timestamp;

use crate::kit::app::AppState;
use crate::kit::badge::{HasStatus, StatusBadge};
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Errors, FormMarks};
use crate::kit::i18n::{Arg, Lang, Text};
use crate::kit::placeholder::{CacheMode, Placeholder};
use crate::kit::readiness::HealthProblem;
use crate::kit::untrusted_peers::naming_header;
use crate::kit::views::{self, Views};
use crate::kit::{assets, cookies, csrf, format};

/// The visitor of a request. A shared handle, cheap to clone.
#[derive(Debug, Clone)]
pub struct PageContext(Arc<Visitor>);

/// The data behind [`PageContext`].
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts about a request"
)]
pub struct Visitor {
    /// The account, if logged in.
    pub user: Option<User>,
    /// Language of the page.
    pub lang: Lang,
    /// Time zone in which times are shown.
    pub zone: TimeZone,
    /// Time of the request.
    pub now: Timestamp,
    /// `light` or `dark`, if chosen.
    pub theme: Option<&'static str>,
    /// Path of the request, without the query.
    pub path: String,
    /// Path and query of the request.
    pub address: String,
    /// The request comes from htmx and expects only a part of a page.
    pub partial: bool,
    /// Name of the installation.
    pub site_name: Arc<str>,
    /// Letters go to the sandbox.
    pub sandbox: bool,
    /// For administrators: id and name of a mail server that needs their attention.
    pub paused_server: Option<(ServerId, String)>,
    /// For administrators: why no letters leave.
    pub health: Option<HealthProblem>,
    /// Whether the account must still set up a second factor.
    pub factor: FactorStanding,
    /// Flash messages from the previous page.
    pub flashes: Vec<Flash>,
    /// IP address of the visitor.
    pub peer: String,
    /// Whether the request says for whom it was forwarded.
    pub(super) is_forwarded: bool,
    /// The page will be cached for other visitors, so its placeholders stay open.
    keep: Option<CacheMode>,
    /// The visitor is a person, not a crawler.
    person: bool,
    views: Arc<Views>,
    pub(crate) session: Option<SessionToken>,
    pub(crate) guest: Option<String>,
    pub(crate) new_guest: OnceLock<String>,
    /// What is known of the form that arrived.
    pub(super) marks: FormMarks,
    csrf_key: SigningKey,
}

impl std::ops::Deref for PageContext {
    type Target = Visitor;

    fn deref(&self) -> &Visitor {
        &self.0
    }
}

impl PageContext {
    /// The page of an anonymous visitor, for public pages outside of the page routes.
    pub(crate) fn anonymous(app: &AppState, head: &Parts) -> Self {
        Self::new(app, head, None, None, VisitorNotices::default())
    }

    pub(super) fn new(
        app: &AppState,
        head: &Parts,
        user: Option<User>,
        token: Option<SessionToken>,
        notices: VisitorNotices,
    ) -> Self {
        let headers = &head.headers;
        let preferred = user.as_ref().and_then(|user| user.language.as_deref());
        let lang = chosen_language(head.uri.query())
            .or_else(|| preferred.and_then(|l| l.parse().ok()))
            .or_else(|| cookies::get(headers, cookies::LANGUAGE)?.parse().ok())
            .unwrap_or_else(|| Lang::accepted(&text_of(headers, &header::ACCEPT_LANGUAGE)));
        let zone = user
            .as_ref()
            .and_then(|user| TimeZone::get(&user.zone).ok())
            .unwrap_or(TimeZone::UTC);
        let theme = cookies::get(headers, cookies::THEME)
            .or_else(|| user.as_ref().and_then(|user| user.theme.clone()));
        Self(Arc::new(Visitor {
            session: token.filter(|_| user.is_some()),
            user,
            lang,
            zone,
            now: app.clock.now(),
            theme: match theme.as_deref() {
                Some("light") => Some("light"),
                Some("dark") => Some("dark"),
                _ => None,
            },
            path: head.uri.path().to_owned(),
            address: head
                .uri
                .path_and_query()
                .map_or("/", |a| a.as_str())
                .to_owned(),
            partial: headers.contains_key("hx-request"),
            site_name: app.site_name.get(),
            sandbox: notices.sandbox,
            paused_server: notices.paused,
            health: notices.health,
            factor: notices.factor,
            flashes: Flash::read(headers),
            peer: app.settings.proxies.client(head),
            is_forwarded: naming_header(headers).is_some(),
            guest: cookies::get(headers, cookies::guest_name(app)).filter(|g| g.len() == 43),
            new_guest: OnceLock::new(),
            marks: FormMarks::default(),
            keep: head.extensions.get().copied(),
            person: head.method == Method::GET && views::is_a_person(headers),
            views: Arc::clone(&app.views),
            csrf_key: app.csrf_key.clone(),
        }))
    }

    /// The sentence with this key, in the visitor's language.
    #[must_use]
    pub fn t(&self, key: &'static str) -> Text {
        self.lang.t(key)
    }

    /// The sentence whose key is composed at run time: `page.dynamic("state-", status.as_str())`.
    #[must_use]
    pub fn dynamic(&self, prefix: &str, name: &str) -> Text {
        self.lang.dynamic(prefix, name)
    }

    /// Label and colour of a state.
    #[must_use]
    pub fn badge(&self, of: impl HasStatus) -> StatusBadge {
        of.badge()
    }

    /// A validation error as a sentence: `error-{code}` with its parameters.
    #[must_use]
    pub fn field_error(&self, error: &FieldError) -> Text {
        let params = error.params.iter();
        self.rule_broken(
            error.code,
            params.map(|(name, value)| (*name, value.as_str())),
        )
    }

    /// The sentence of a rule that was broken, by the names that [`FieldError`] has.
    pub(crate) fn rule_broken<'a>(
        &self,
        code: &str,
        params: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Text {
        let key = format!("error-{}", code.replace(['_', ' '], "-"));
        // 0: the sentence names no character of the line
        let mut text = self.lang.t(key).with("column", 0_i64);
        for (name, value) in params {
            let name = name.to_owned();
            text = match value.parse::<i64>() {
                Ok(number) => text.with_name(name, number),
                Err(_) => text.with_name(name, value),
            };
        }
        if text.find().is_some() {
            text
        } else {
            self.t("error-invalid")
        }
    }

    /// A number with thousands separators.
    #[must_use]
    pub fn num(&self, n: impl Arg) -> Text {
        self.t("number").with("n", n)
    }

    /// A percentage of a whole.
    #[must_use]
    pub fn percent(&self, part: impl AsInteger, whole: impl AsInteger) -> String {
        format::percent(part.whole(), whole.whole(), self.lang)
    }

    /// A percentage for an attribute of a drawing: `12.5%`.
    #[must_use]
    pub fn share(&self, part: impl AsInteger, whole: impl AsInteger) -> String {
        format::share(part.whole(), whole.whole())
    }

    /// The percentage of two parts together, for a drawing.
    #[must_use]
    pub fn share2(
        &self,
        one: impl AsInteger,
        other: impl AsInteger,
        whole: impl AsInteger,
    ) -> String {
        format::share(one.whole() + other.whole(), whole.whole())
    }

    /// A size in bytes, in the unit that fits.
    #[must_use]
    pub fn size(&self, bytes: impl AsInteger) -> String {
        format::size(u64::try_from(bytes.whole()).unwrap_or(0), self.lang)
    }

    /// A date in the visitor's zone.
    #[must_use]
    pub fn date(&self, moment: impl AsTimestamp) -> String {
        format::date(moment.at(), &self.zone, self.lang)
    }

    /// A day and month: `12 Mar`.
    #[must_use]
    pub fn day(&self, date: impl std::borrow::Borrow<jiff::civil::Date>) -> String {
        format::day(*date.borrow(), self.lang)
    }

    /// A weekday with day and month: `Mon, 12 Mar`.
    #[must_use]
    pub fn weekday(&self, date: impl std::borrow::Borrow<jiff::civil::Date>) -> String {
        let date = *date.borrow();
        format!(
            "{}, {}",
            format::weekday(date, self.lang),
            format::day(date, self.lang)
        )
    }

    /// A time in the visitor's zone, to the minute.
    #[must_use]
    pub fn time(&self, moment: impl AsTimestamp) -> String {
        format::time(moment.at(), &self.zone, self.lang)
    }

    /// A time in the visitor's zone, to the second.
    #[must_use]
    pub fn time_exact(&self, moment: impl AsTimestamp) -> String {
        format::time_exact(moment.at(), &self.zone, self.lang)
    }

    /// How long ago.
    #[must_use]
    pub fn ago(&self, moment: impl AsTimestamp) -> String {
        format::ago(moment.at(), self.now, &self.zone, self.lang)
    }

    /// A duration in milliseconds, in its two largest units.
    #[must_use]
    pub fn span(&self, millis: impl AsInteger) -> String {
        format::span(self.lang, millis.whole())
    }

    /// IANA name of the visitor's zone.
    #[must_use]
    pub fn zone_name(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    /// URL of an asset.
    #[must_use]
    pub fn asset(&self, name: &str) -> String {
        assets::url(name)
    }

    /// A CSRF token for a form of this visitor.
    #[must_use]
    pub fn csrf(&self) -> String {
        let user = self.session.as_ref().and(self.user.as_ref());
        csrf::token(&self.csrf_key, &self.holder(), user.map(|user| user.id))
    }

    /// Whether a CSRF token belongs to this visitor.
    #[must_use]
    pub fn csrf_matches(&self, token: &str) -> bool {
        let holder = match (&self.session, &self.guest) {
            (Some(session), _) => session.to_text(),
            (None, Some(guest)) => guest.clone(),
            (None, None) => return false,
        };
        csrf::matches(&self.csrf_key, &holder, token)
    }

    pub(super) fn holder(&self) -> String {
        match (&self.session, &self.guest) {
            (Some(session), _) => session.to_text(),
            (None, Some(guest)) => guest.clone(),
            (None, None) => self
                .new_guest
                .get_or_init(|| SessionToken::random().to_text())
                .clone(),
        }
    }

    /// Whether the current page is in the section at `path`, to mark its link in the navigation.
    #[must_use]
    pub fn is_in_section(&self, path: &str) -> bool {
        self.path == path
            || self
                .path
                .strip_prefix(path)
                .is_some_and(|rest| rest.starts_with('/'))
    }

    /// URL of this page in another language.
    #[must_use]
    pub fn in_language(&self, lang: &str) -> String {
        format!("{}?lang={lang}", self.path)
    }

    /// Whether the visitor is logged in to this account.
    #[must_use]
    pub fn is_user(&self, id: UserId) -> bool {
        self.user.as_ref().is_some_and(|user| user.id == id)
    }

    /// Whether the account keeps recipients and sends mailings.
    #[must_use]
    pub fn sends(&self) -> bool {
        self.user.as_ref().is_some_and(|user| user.role.sends())
    }

    /// Whether the account has the managers' section.
    #[must_use]
    pub fn moderates(&self) -> bool {
        self.user.as_ref().and_then(Moderator::of).is_some()
    }

    /// Whether the account has the administrators' part of it.
    #[must_use]
    pub fn administrates(&self) -> bool {
        let moderator = self.user.as_ref().and_then(Moderator::of);
        moderator.is_some_and(|moderator| moderator.administrator().is_some())
    }

    /// Whether the account's address is unverified: it can look around, but not send.
    #[must_use]
    pub fn unverified(&self) -> bool {
        self.user
            .as_ref()
            .is_some_and(|user| user.verified_at.is_none())
    }

    /// Until when the account must set up a second factor, if it has to.
    #[must_use]
    pub fn factor_due(&self) -> Option<Timestamp> {
        match self.factor {
            FactorStanding::DueBy(at) => Some(at),
            FactorStanding::Met | FactorStanding::Overdue => None,
        }
    }

    /// Whether the time for that is over.
    #[must_use]
    pub fn factor_overdue(&self) -> bool {
        self.factor == FactorStanding::Overdue
    }

    /// Whether the visitor uses the machine that the service runs on. A peer that names visitors
    /// is a proxy, whether or not a setting trusts it.
    #[must_use]
    pub fn is_on_loopback(&self) -> bool {
        let ip = self.peer.parse::<std::net::IpAddr>();
        !self.is_forwarded && ip.is_ok_and(|ip| ip.is_loopback())
    }

    /// Whether the account writes the blog.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.user
            .as_ref()
            .is_some_and(|user| Editor::of(user).is_some())
    }

    /// The marks for placeholders, if the page will be cached; see [`crate::kit::placeholder`].
    pub(crate) fn cache_mode(&self) -> Option<CacheMode> {
        self.keep
    }

    /// View count of a post, or a placeholder in a cached page. `total` is the count in the
    /// database.
    #[must_use]
    pub fn views(&self, post: &PostId, total: impl AsInteger) -> String {
        if let Some(keep) = self.keep {
            return keep.mark(Placeholder::Views(*post));
        }
        format::number(total.whole() + self.views.unwritten(*post), self.lang)
    }

    /// Counts a view of a post. Not counted are authors of the blog, crawlers, and the rendering of
    /// a page to be cached, whose views are counted when it is served.
    pub(crate) fn read(&self, post: PostId) {
        if self.person && self.keep.is_none() && !self.writes() {
            self.views.add(post);
        }
    }

    /// Initials of the account's name, at most two.
    #[must_use]
    pub fn initials(&self) -> String {
        let name = self.user.as_ref().map_or("", |user| user.name.as_str());
        name.split_whitespace()
            .filter_map(|word| word.chars().next())
            .take(2)
            .flat_map(char::to_uppercase)
            .collect()
    }

    /// Redirects to `to` after a form was processed (303), and shows `flash` there.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "callers build it in place")]
    pub fn redirect(&self, to: &str, flash: Flash) -> Response {
        let mut response = Redirect::to(to).into_response();
        cookies::put(&mut response, flash.cookie());
        response
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PageContext {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, WebError> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| WebError::internal("a page outside of the page routes"))
    }
}

/// Renders a page.
pub fn html(template: &impl Template) -> Result<Response, WebError> {
    Ok(Html(template.render()?).into_response())
}

/// Renders a form's page again with its validation errors (422).
pub fn html_wrong(template: &impl Template) -> Result<Response, WebError> {
    Ok((StatusCode::UNPROCESSABLE_ENTITY, html(template)?).into_response())
}

/// Renders a form's page again because someone else changed the data (409).
pub fn html_changed(template: &impl Template) -> Result<Response, WebError> {
    Ok((StatusCode::CONFLICT, html(template)?).into_response())
}

/// A time or a reference to one, as templates pass it.
pub trait AsTimestamp {
    /// The time.
    fn at(&self) -> Timestamp;
}

impl AsTimestamp for Timestamp {
    fn at(&self) -> Timestamp {
        *self
    }
}

impl<T: AsTimestamp> AsTimestamp for &T {
    fn at(&self) -> Timestamp {
        (**self).at()
    }
}

/// A whole number or a reference to one, as templates pass it.
pub trait AsInteger {
    /// The number, at most `i64::MAX`.
    fn whole(&self) -> i64;
}

macro_rules! wholes {
    ($($ty:ty)+) => {$(
        impl AsInteger for $ty {
            fn whole(&self) -> i64 {
                i64::try_from(*self).unwrap_or(i64::MAX)
            }
        }
    )+};
}
wholes!(i64 u64 i32 u32 u16 usize);

impl<T: AsInteger> AsInteger for &T {
    fn whole(&self) -> i64 {
        (**self).whole()
    }
}

pub(crate) fn chosen_language(query: Option<&str>) -> Option<Lang> {
    let value = query?
        .split('&')
        .find_map(|pair| pair.strip_prefix("lang="))?;
    value.parse().ok()
}

/// What all pages tell a visitor: about mail servers, and about their own account.
#[derive(Debug, Default)]
pub(super) struct VisitorNotices {
    /// There is no mail server: letters go to the sandbox.
    pub(super) sandbox: bool,
    /// For administrators: a server that needs their attention.
    pub(super) paused: Option<(ServerId, String)>,
    /// For administrators: why no letters leave.
    pub(super) health: Option<HealthProblem>,
    /// Whether the account must still set up a second factor.
    pub(super) factor: FactorStanding,
}

/// A header as text. Empty if it is missing or not text.
pub(crate) fn text_of(headers: &HeaderMap, name: &header::HeaderName) -> String {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned()
}

/// Parts of pages that several areas use.
impl PageContext {
    /// All errors of a form except those shown at a field in `known` (names separated by spaces).
    #[must_use]
    pub fn other_errors(&self, errors: &Errors, known: &str) -> Vec<String> {
        errors
            .iter()
            .filter(|error| known.split(' ').all(|name| name != error.field))
            .map(|error| self.field_error(error).to_string())
            .collect()
    }
}
