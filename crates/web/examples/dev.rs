//! The site alone, with sample data and a filled sandbox, for working on pages: `cargo run -p
//! skychimp-web --example dev`.
//!
//! Nothing is sent. Log in as `ann@example.org` with `correct horse ann`. Prints its URL; the port
//! can be given as an argument.

use std::net::SocketAddr;
use std::sync::Arc;

use skychimp_core::accounts::registration::Registration;
use skychimp_core::accounts::required_factor::RequiredFactor;
use skychimp_core::accounts::user::Role;
use skychimp_core::blog::media::Gallery;
use skychimp_core::messages::message::{Message, MessageDraft};
use skychimp_core::platform::secret::SecretKey;
use skychimp_core::platform::time::Clock;
use skychimp_core::sending::mailing::FromIdentity;
use skychimp_core::sending::service::ServiceIdentity;
use skychimp_core::testing::{TestDb, user};
use skychimp_web::kit::client::Proxies;
use skychimp_web::kit::sandbox::SandboxStore;
use skychimp_web::{AppState, Settings, SiteState, router};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let port: u16 = std::env::args().nth(1).map_or(Ok(0), |port| port.parse())?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let base = format!("http://{}", listener.local_addr()?);
    let db = TestDb::new().await?;
    let clock = Clock::system();
    let ann = user(&db, "ann", Role::User).await?;
    let mut tx = db.write().await?;
    for subject in ["Весенняя распродажа: минус 20 %", "Hello, {{ name }}"] {
        let draft = MessageDraft {
            subject: subject.to_owned(),
            preview_text: "Only this week".to_owned(),
            html: "<h1>Hello, {{ name }}!</h1>\n<p>Spring is here.</p>".to_owned(),
            text: String::new(),
        };
        Message::create(&mut tx, ann, &draft, clock.now()).await?;
    }
    tx.commit().await?;
    let sandbox = Arc::new(SandboxStore::new());
    for n in 1..=70 {
        let raw = format!(
            "From: Shop <shop@example.org>\r\nTo: r{n}@example.org\r\nSubject: Letter {n}\r\nMIME-Version: 1.0\r\n\
             Content-Type: text/html; charset=utf-8\r\n\r\n<h1 style=\"color:teal\">Hello {n}</h1><p>Spring is here.</p>\r\n"
        );
        let to = vec![format!("r{n}@example.org")];
        sandbox.push(clock.now(), "shop@example.org".to_owned(), to, raw.into());
    }
    let settings = Settings {
        base_url: base.parse()?,
        data_dir: std::env::temp_dir(),
        gallery: Gallery::in_folder(&std::env::temp_dir().join("skychimp-media"))?,
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
        engine: None,
        disk: skychimp_core::platform::disk::Disk::unbounded(),
        metrics_token: None,
        contact: None,
    };
    let state = SiteState::new(AppState::new((*db).clone(), clock, settings, Some(sandbox)));
    #[expect(clippy::print_stdout, reason = "the URL is its only output")]
    {
        println!("{base}");
    }
    let service = router(state).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).await?;
    Ok(())
}
