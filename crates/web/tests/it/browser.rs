//! A test client that keeps cookies and posts forms with the CSRF token of the previous page, as a
//! browser does.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use skychimp_core::accounts::registration::Registration;
use skychimp_core::accounts::required_factor::RequiredFactor;
use skychimp_core::accounts::start_settings::{ASK_OVER_MAX, StartSettings};
use skychimp_core::accounts::user::Role;
use skychimp_core::blog::media::Gallery;
use skychimp_core::platform::disk::Disk;
use skychimp_core::platform::ids::UserId;
use skychimp_core::platform::secret::SecretKey;
use skychimp_core::platform::time::{Clock, Timestamp};
use skychimp_core::sending::mailing::FromIdentity;
use skychimp_core::sending::outbox::OutboxLetter;
use skychimp_core::sending::service::ServiceIdentity;
use skychimp_core::sending::worker::EngineHealth;
use skychimp_core::testing::{TestDb, outbox, user};
use skychimp_web::kit::client::Proxies;
use skychimp_web::kit::sandbox::SandboxStore;
use skychimp_web::{AppState, Settings, SiteState, router};
use tempfile::TempDir;
use tower::ServiceExt as _;

/// A site with its own database.
pub struct Site {
    pub db: TestDb,
    pub clock: Clock,
    pub sandbox: Arc<SandboxStore>,
    pub app: SiteState,
    router: Router,
    /// The data folder.
    pub data: TempDir,
}

impl Site {
    /// Another process on the same database, and a visitor of it.
    pub fn node(&self, change: impl FnOnce(&mut Settings)) -> (SiteState, Browser) {
        let mut settings = self.app.settings.clone();
        change(&mut settings);
        let app = SiteState::new(AppState::new(
            (*self.db).clone(),
            self.clock.clone(),
            settings,
            None,
        ));
        let visitor = Browser {
            router: router(app.clone()),
            ..self.stranger()
        };
        (app, visitor)
    }

    pub async fn new() -> Self {
        Self::at("http://mail.example.org").await
    }

    pub async fn at(base: &str) -> Self {
        Self::with(|settings| settings.base_url = base.parse().unwrap()).await
    }

    /// A site with changed settings.
    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let db = TestDb::new().await.unwrap();
        let clock = Clock::fixed(Timestamp::from_millis(1_800_000_000_000));
        let sandbox = Arc::new(SandboxStore::new());
        let data = tempfile::tempdir().unwrap();
        let mut settings = Settings {
            base_url: "http://mail.example.org".parse().unwrap(),
            data_dir: data.path().to_owned(),
            gallery: Gallery::in_folder(&data.path().join("media")).unwrap(),
            secret: SecretKey::new([7; 32]),
            service: ServiceIdentity {
                sender: FromIdentity {
                    name: "Skychimp".to_owned(),
                    email: "news@example.org".to_owned(),
                },
                base_url: Some("https://mail.example.org".to_owned()),
                mail_server: None,
            },
            upload_limit: 500_000_000,
            shown: Vec::new(),
            mail_server: None,
            shared: skychimp_core::platform::cache::CacheClient::none(),
            registration: Registration::Open,
            required_factor: RequiredFactor::default(),
            proxies: Proxies::default(),
            page_memory: 32 << 20,
            build: String::new(),
            engine: Some(EngineHealth::new(Timestamp::from_millis(i64::MAX / 2))),
            disk: Disk::unbounded(),
            metrics_token: None,
            contact: None,
        };
        change(&mut settings);
        let app = SiteState::new(AppState::new(
            (*db).clone(),
            clock.clone(),
            settings,
            Some(Arc::clone(&sandbox)),
        ));
        let router = router(app.clone());
        Self {
            db,
            clock,
            sandbox,
            app,
            router,
            data,
        }
    }

    /// Another process serving the same site.
    pub fn another_node(&self) -> Node {
        let (app, _) = self.node(|_| {});
        Node(router(app))
    }

    /// A user who is asked nothing before letters leave, and does not want to take Start back.
    pub async fn user(&self, name: &str, role: Role) -> UserId {
        let id = user(&self.db, name, role).await.unwrap();
        let at_once = StartSettings {
            ask_over: ASK_OVER_MAX,
            take_back: 0,
        };
        let mut tx = self.db.write().await.unwrap();
        at_once.save(&mut tx, id).await.unwrap();
        tx.commit().await.unwrap();
        id
    }

    pub fn stranger(&self) -> Browser {
        Browser::new(self.router.clone())
    }

    /// The letters the service has written to `email`, oldest first.
    pub async fn letters_to(&self, email: &str) -> Vec<OutboxLetter> {
        let mut letters = outbox(&self.db).await.unwrap();
        letters.retain(|letter| letter.email == email);
        letters
    }

    /// The path of the button's link in the latest letter to `email`.
    pub async fn link_to(&self, email: &str) -> String {
        let letters = self.letters_to(email).await;
        let letter = letters.last().unwrap();
        let link = letter
            .text
            .lines()
            .find_map(|line| line.strip_prefix("http://mail.example.org/"))
            .unwrap();
        assert!(letter.html.contains(link), "{}", letter.html);
        format!("/{link}")
    }

    /// A browser logged in as the user `name`.
    pub async fn login(&self, name: &str) -> Browser {
        let mut browser = self.stranger();
        browser.get("/login").await;
        let email = format!("{name}@example.org");
        let password = format!("correct horse {name}");
        let answer = browser
            .post("/login", &[("email", &email), ("password", &password)])
            .await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
        browser.get("/").await;
        browser
    }
}

pub struct Node(Router);

impl Node {
    pub fn stranger(&self) -> Browser {
        Browser::new(self.0.clone())
    }
}

#[derive(Clone)]
pub struct Browser {
    router: Router,
    pub cookies: BTreeMap<String, String>,
    pub token: String,
    pub language: &'static str,
    /// The IP address it connects from.
    pub peer: &'static str,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub fn location(&self) -> &str {
        self.header("location")
    }
}

impl Browser {
    fn new(router: Router) -> Self {
        Self {
            router,
            cookies: BTreeMap::new(),
            token: String::new(),
            language: "en",
            peer: "198.51.100.1",
        }
    }

    /// Switches to another process of the site.
    pub fn visit(&mut self, router: Router) {
        self.router = router;
    }

    pub async fn get(&mut self, address: &str) -> Answer {
        self.send("GET", address, &[], String::new()).await
    }

    /// Posts a form with the CSRF token of the last page that had one.
    pub async fn post(&mut self, address: &str, fields: &[(&str, &str)]) -> Answer {
        let token = self.token.clone();
        let mut all = vec![("csrf", token.as_str())];
        all.extend_from_slice(fields);
        self.post_raw(address, &[], &all).await
    }

    /// Posts a form without adding anything.
    pub async fn post_raw(
        &mut self,
        address: &str,
        headers: &[(&str, &str)],
        fields: &[(&str, &str)],
    ) -> Answer {
        let body: Vec<_> = fields
            .iter()
            .map(|(name, value)| {
                let value = percent_encoding::utf8_percent_encode(
                    value,
                    percent_encoding::NON_ALPHANUMERIC,
                );
                format!("{name}={value}")
            })
            // tokens are base64url; browsers do not escape these characters
            .map(|pair| pair.replace("%2D", "-").replace("%5F", "_"))
            .collect();
        let mut headers = headers.to_vec();
        headers.push(("content-type", "application/x-www-form-urlencoded"));
        self.send("POST", address, &headers, body.join("&")).await
    }

    /// Sends a request and reads the complete response.
    pub async fn send(
        &mut self,
        method: &str,
        address: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let (mut answer, body) = self.ask(method, address, headers, body).await;
        let body = body.collect().await.unwrap().to_bytes();
        answer.body = String::from_utf8_lossy(&body).into_owned();
        for mark in ["name=\"csrf\" value=\"", "name=\"csrf\" content=\""] {
            if let Some((_, rest)) = answer.body.split_once(mark) {
                rest.split('"').next().unwrap().clone_into(&mut self.token);
            }
        }
        answer
    }

    /// Sends a request without reading the body, which for a live stream does not end soon.
    pub async fn status(
        &mut self,
        method: &str,
        address: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Answer {
        self.ask(method, address, headers, body).await.0
    }

    /// Sends a request, and returns the body separately.
    pub async fn ask(
        &mut self,
        method: &str,
        address: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> (Answer, Body) {
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        let mut request = Request::builder()
            .method(method)
            .uri(address)
            .header(header::HOST, "mail.example.org")
            .header(header::ACCEPT_LANGUAGE, self.language);
        if !cookies.is_empty() {
            request = request.header(header::COOKIE, cookies.join("; "));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let peer = SocketAddr::new(self.peer.parse().unwrap(), 40_000);
        request = request.extension(ConnectInfo(peer));
        let response = self
            .router
            .clone()
            .oneshot(request.body(body.into()).unwrap())
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        for cookie in parts.headers.get_all(header::SET_COOKIE) {
            let text = cookie.to_str().unwrap();
            let (name, rest) = text.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if text.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let answer = Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::new(),
        };
        (answer, body)
    }
}
