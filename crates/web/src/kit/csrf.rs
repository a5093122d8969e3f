//! CSRF protection: unsafe requests must come from our own pages.
//!
//! Every route behind the page middleware gets two independent checks, so that no handler can
//! forget them: the browser's own headers (`Sec-Fetch-Site`, else `Origin`), and a token bound by
//! HMAC to the session, or to a guest cookie before login. The token is in the form field `csrf`,
//! in the header `X-CSRF-Token` (htmx), or in the query if the body is a stream of files. Only the
//! first [`FORM_MAX`] bytes of a form are looked at, so that a forged one costs little memory. The
//! token is masked with a new random value on every page, so that compression does not leak it
//! (BREACH).

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::http::{HeaderMap, Method, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use skychimp_core::platform::ids::UserId;
use skychimp_core::platform::secret::SigningKey;
use tokio::sync::OwnedSemaphorePermit;

use crate::kit::app::AppState;
use crate::kit::body_limit::{self, FORM_MAX, LargeForm, ReadBody};
use crate::kit::error::WebError;
use crate::kit::late_form;
use crate::kit::page::{PageContext, text_of};
use crate::kit::query::{first_value, local};
use crate::kit::user_turns::UserTurn;

const LENGTH: usize = 32;
/// Length of an id, and of the signature of one, in a token.
const HALF: usize = LENGTH / 2;

/// Returns a newly masked token for the holder of a session or guest cookie. That of a session
/// also says whose page it is on, so that a form that comes after the session can be given back.
pub(crate) fn token(key: &SigningKey, holder: &str, user: Option<UserId>) -> String {
    let mask: [u8; LENGTH] = rand::random();
    let masked = |part: [u8; LENGTH]| mask.into_iter().zip(part).map(|(m, s)| m ^ s);
    let mut bytes = mask.to_vec();
    bytes.extend(masked(key.sign(holder.as_bytes())));
    if let Some(user) = user {
        let mut author = [0; LENGTH];
        author[..HALF].copy_from_slice(user.0.as_bytes());
        author[HALF..].copy_from_slice(&signature_of(key, user)[..HALF]);
        bytes.extend(masked(author));
    }
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Whose page a token was on, whether or not their session still exists. `None` for a token of a
/// visitor, or one that we did not make.
pub(crate) fn author(key: &SigningKey, token: &str) -> Option<UserId> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (mask, rest) = bytes.split_at_checked(LENGTH)?;
    let masked: &[u8; LENGTH] = rest.get(LENGTH..)?.try_into().ok()?;
    let author: Vec<u8> = mask.iter().zip(masked).map(|(m, s)| m ^ s).collect();
    let id = u128::from_be_bytes(author[..HALF].try_into().ok()?);
    let user = UserId::from_bits(id);
    key.verify(&signed(user), &author[HALF..]).then_some(user)
}

fn signature_of(key: &SigningKey, user: UserId) -> [u8; LENGTH] {
    key.sign(&signed(user))
}

/// What is signed for an author. Holders are text, so none is equal to it.
fn signed(user: UserId) -> Vec<u8> {
    [b"\xffauthor".as_slice(), user.0.as_bytes()].concat()
}

/// Whether a token was made for this holder.
pub(crate) fn matches(key: &SigningKey, holder: &str, token: &str) -> bool {
    let Ok(bytes) = URL_SAFE_NO_PAD.decode(token) else {
        return false;
    };
    if bytes.len() != 2 * LENGTH && bytes.len() != 3 * LENGTH {
        return false;
    }
    let (mask, masked) = bytes.split_at(LENGTH);
    let masked = &masked[..LENGTH];
    let given = mask.iter().zip(masked).map(|(m, s)| m ^ s);
    // Compares every byte, in constant time.
    given
        .zip(key.sign(holder.as_bytes()))
        .fold(0, |different, (a, b)| different | (a ^ b))
        == 0
}

/// A request that may be answered.
#[derive(Debug)]
pub(crate) struct CheckedRequest {
    pub(crate) request: Request,
    /// Kept while a large form is in memory.
    pub(crate) large: Option<LargeForm>,
    /// Kept while a user's form or page is answered.
    pub(crate) turn: Option<UserTurn>,
    /// Kept while a search is answered.
    pub(crate) search: Option<OwnedSemaphorePermit>,
}

impl CheckedRequest {
    const fn new(request: Request) -> Self {
        Self {
            request,
            large: None,
            turn: None,
            search: None,
        }
    }
}

/// Checks an unsafe request; safe ones pass. [`WebError::Forged`] if it does not come from our
/// pages.
pub(crate) async fn check(
    app: &AppState,
    page: &PageContext,
    request: Request,
) -> Result<CheckedRequest, WebError> {
    if matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    ) {
        let turn = app.page_turns.begin_of(page).await?;
        let query = request.uri().query().filter(|_| turn.is_some());
        return Ok(CheckedRequest {
            turn,
            search: app.search_turns.begin(query.unwrap_or_default()).await,
            ..CheckedRequest::new(request)
        });
    }
    if !same_origin(app, request.headers()) {
        return Err(WebError::Forged);
    }
    let header = text_of(
        request.headers(),
        &header::HeaderName::from_static("x-csrf-token"),
    );
    let query = field(request.uri().query().unwrap_or_default().as_bytes());
    let passes = page.csrf_matches(&header) || query.is_some_and(|token| page.csrf_matches(&token));
    let kind = text_of(request.headers(), &header::CONTENT_TYPE);
    if !kind.starts_with("application/x-www-form-urlencoded") {
        if !passes {
            late_form::note_files(page, request.headers());
            return Err(WebError::Forged);
        }
        let mut request = request;
        DefaultBodyLimit::max(FORM_MAX).apply(&mut request);
        return Ok(CheckedRequest::new(request));
    }
    form(app, page, request, passes).await
}

/// Reads a form: a large one only for a logged-in user whose token fits.
async fn form(
    app: &AppState,
    page: &PageContext,
    request: Request,
    passes: bool,
) -> Result<CheckedRequest, WebError> {
    let max = request
        .extensions()
        .get::<MatchedPath>()
        .map_or(FORM_MAX, |path| body_limit::largest(path.as_str()));
    let declared = text_of(request.headers(), &header::CONTENT_LENGTH);
    if declared.parse::<usize>().is_ok_and(|length| length > max) {
        return Err(WebError::TooLarge);
    }
    let (parts, body) = request.into_parts();
    let read = ReadBody::begin(body).await?;
    let token = field(read.beginning()).unwrap_or_default();
    if !passes && !page.csrf_matches(&token) {
        if page.user.is_some() && page.path == "/login" {
            // a login form that was open in another tab
            let next = first_value(read.beginning(), "next").unwrap_or_default();
            return Err(WebError::LoggedIn(local(&next)));
        }
        late_form::keep(app, page, &parts, &token, read, max).await?;
        return Err(WebError::Forged);
    }
    let user = page.user.as_ref().filter(|_| read.is_large());
    let large = match user {
        Some(user) => Some(app.large_forms.begin(user.id)?),
        None => None,
    };
    let max = if page.user.is_some() { max } else { FORM_MAX };
    let bytes = read.finish(max).await?;
    if has_nul(&bytes) {
        return Err(WebError::BadRequest);
    }
    let mut request = Request::from_parts(parts, Body::from(bytes));
    DefaultBodyLimit::max(max).apply(&mut request);
    Ok(CheckedRequest {
        request,
        large,
        turn: app.form_turns.begin_of(page).await?,
        search: None,
    })
}

/// Whether a form or URL contains NUL, which PostgreSQL refuses to store.
pub(crate) fn has_nul(encoded: &[u8]) -> bool {
    encoded.contains(&0) || encoded.windows(3).any(|three| three == b"%00")
}

/// Whether the browser says that the request comes from our origin. Clients that are not browsers
/// send neither header, and need the token anyway.
fn same_origin(app: &AppState, headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin" || site == "none";
    }
    match headers
        .get(header::ORIGIN)
        .and_then(|origin| origin.to_str().ok())
    {
        None => true,
        Some(origin) => {
            let host = text_of(headers, &header::HOST);
            origin == app.origin()
                || origin
                    .split_once("://")
                    .is_some_and(|(_, rest)| rest == host)
        }
    }
}

/// The value of the field `csrf`. Tokens are base64url, so they are never percent-encoded.
fn field(form: &[u8]) -> Option<String> {
    form.split(|byte| *byte == b'&')
        .find_map(|pair| pair.strip_prefix(b"csrf="))
        .and_then(|value| String::from_utf8(value.to_vec()).ok())
}

#[cfg(test)]
mod tests {
    use skychimp_core::platform::secret::SecretKey;

    use super::*;

    /// R22: a token is valid for its holder only, and looks different every time.
    #[test]
    fn token_belongs_to_its_holder() {
        let key = |byte| SecretKey::new([byte; 32]).derive("csrf");
        let one = token(&key(7), "ann", None);
        assert_ne!(one, token(&key(7), "ann", None));
        assert!(matches(&key(7), "ann", &one));
        assert!(!matches(&key(7), "bob", &one));
        assert!(!matches(&key(8), "ann", &one));
        assert!(!matches(&key(7), "ann", ""));
        assert!(!matches(&key(7), "ann", &one[1..]));
    }

    /// R22, R32: a token says whose page it was on, also when nothing is known of the session.
    #[test]
    fn token_names_its_author() {
        let key = |byte| SecretKey::new([byte; 32]).derive("csrf");
        let ann = UserId::from_bits(0x0190_b5a0);
        let one = token(&key(7), "session", Some(ann));
        assert_ne!(one, token(&key(7), "session", Some(ann)));
        assert!(matches(&key(7), "session", &one));
        assert!(!matches(&key(7), "other", &one));
        assert_eq!(author(&key(7), &one), Some(ann));
        assert_eq!(author(&key(8), &one), None);
        assert_eq!(author(&key(7), &token(&key(7), "session", None)), None);
        for cut in ["", &one[1..], &one[..one.len() - 2]] {
            assert_eq!(author(&key(7), cut), None);
        }
        let mut bytes = URL_SAFE_NO_PAD.decode(&one).unwrap();
        bytes[2 * LENGTH + HALF - 1] ^= 1;
        assert_eq!(author(&key(7), &URL_SAFE_NO_PAD.encode(bytes)), None);
    }
}
