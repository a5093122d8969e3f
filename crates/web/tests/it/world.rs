//! A site in use: one visitor of every kind, and things that belong to one of them.

use std::collections::HashMap;

use axum::body::Bytes;
use skychimp_core::accounts::audit::Actor;
use skychimp_core::accounts::user::{Role, User};
use skychimp_core::blog::post::{Editor, Post, PostDraft};
use skychimp_core::messages::letter::feedback_id;
use skychimp_core::platform::address::EmailAddress;
use skychimp_core::platform::ids::{
    ImportId, ListId, MessageId, PasskeyId, PostId, RecipientId, ServerId, UserId,
};
use skychimp_core::platform::time::Timestamp;
use skychimp_core::recipients::import::{
    ColumnTarget, Delimiter, FileFormat, Import, ImportOptions, TextEncoding,
};
use skychimp_core::recipients::recipient::{
    Recipient, RecipientDraft, RecipientField, RecipientFields,
};
use skychimp_core::recipients::suppression::{Suppression, SuppressionReason};
use skychimp_core::recipients::unsubscribe::UnsubscribeToken;
use skychimp_core::sending::mailing::MailingDraft;
use skychimp_core::sending::sending_server::{PasswordChange, SendingServer, ServerDraft};
use skychimp_core::testing::{
    TestRun, execute, list, mailing, message, passkey, sending_run, stored_file,
};

use crate::browser::{Browser, Site};

/// A kind of visitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Who {
    /// Not logged in.
    Anonymous,
    /// A user with an unverified address.
    Unverified,
    /// The user who owns the requested things.
    Owner,
    /// Another user.
    Other,
    /// A manager.
    Manager,
    /// A content manager.
    Content,
    /// An administrator.
    Admin,
    /// A user who was blocked after logging in.
    Blocked,
}

impl Who {
    /// In the order of the table of rights.
    pub const ALL: [Self; 8] = [
        Self::Anonymous,
        Self::Unverified,
        Self::Owner,
        Self::Other,
        Self::Manager,
        Self::Content,
        Self::Admin,
        Self::Blocked,
    ];

    /// The name of the account, `{name}@example.org`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Unverified => "unverified",
            Self::Owner => "owner",
            Self::Other => "other",
            Self::Manager => "manager",
            Self::Content => "content",
            Self::Admin => "admin",
            Self::Blocked => "blocked",
        }
    }

    const fn role(self) -> Role {
        match self {
            Self::Manager => Role::Manager,
            Self::Content => Role::ContentManager,
            Self::Admin => Role::Admin,
            _ => Role::User,
        }
    }
}

/// The IP addresses they connect from.
const PEERS: [&str; 8] = [
    "192.0.2.1",
    "192.0.2.2",
    "192.0.2.3",
    "192.0.2.4",
    "192.0.2.5",
    "192.0.2.6",
    "192.0.2.7",
    "192.0.2.8",
];

/// The site with an account and a browser for each visitor.
pub struct World {
    pub site: Site,
    pub ids: HashMap<Who, UserId>,
    pub browsers: HashMap<Who, Browser>,
}

/// Things of one user; their names contain a mark.
pub struct Things {
    pub owner: UserId,
    pub recipient: RecipientId,
    pub list: ListId,
    pub message: MessageId,
    pub import: ImportId,
    pub passkey: PasskeyId,
    pub sending: TestRun,
    pub draft: skychimp_core::platform::ids::MailingId,
    pub unsubscribe: String,
    /// A suppressed address.
    pub gone: EmailAddress,
    pub server: ServerId,
    /// The number of a letter in the sandbox.
    pub letter: u64,
    /// A post of the content manager; it belongs to no user.
    pub post: PostId,
    /// The slug of its public page.
    pub slug: String,
    /// The name of a picture file.
    pub picture: String,
}

impl World {
    pub async fn new() -> Self {
        let site = Site::new().await;
        let mut ids = HashMap::new();
        let mut browsers = HashMap::from([(Who::Anonymous, site.stranger())]);
        for who in Who::ALL {
            if who != Who::Anonymous {
                ids.insert(who, site.user(who.name(), who.role()).await);
                browsers.insert(who, site.login(who.name()).await);
            }
        }
        for (who, sql) in [
            (
                Who::Unverified,
                "UPDATE users SET verified_at = NULL WHERE id = $1",
            ),
            (
                Who::Blocked,
                "UPDATE users SET blocked_at = 1 WHERE id = $1",
            ),
        ] {
            execute(&site.db, sql, ids[&who]).await.unwrap();
        }
        // separate addresses, so that rate limits of one do not affect the others
        for (who, peer) in Who::ALL.into_iter().zip(PEERS) {
            browsers.get_mut(&who).unwrap().peer = peer;
        }
        Self {
            site,
            ids,
            browsers,
        }
    }

    /// The visitor's browser with a fresh CSRF token; logged in again if necessary.
    pub async fn browser(&mut self, who: Who) -> &mut Browser {
        let known = !matches!(who, Who::Anonymous | Who::Blocked);
        let address = if known { "/account" } else { "/login" };
        let browser = self.browsers.get_mut(&who).unwrap();
        if known && browser.get(address).await.status != 200 {
            let peer = browser.peer;
            *browser = self.site.login(who.name()).await;
            browser.peer = peer;
        }
        browser.get(address).await;
        browser
    }

    /// Creates one of each thing for a user, with this mark in their names.
    pub async fn things(&self, who: Who, mark: &str) -> Things {
        let db = &self.site.db;
        let owner = self.ids[&who];
        let now = self.site.clock.now();
        let email = format!("{}@customers.example.org", mark.to_lowercase());
        let mut tx = db.write().await.unwrap();
        let known = Recipient::by_email(&mut tx, owner, &email).await.unwrap();
        let recipient = if let Some(known) = known {
            known.id
        } else {
            let draft = RecipientDraft {
                email: email.clone(),
                fields: RecipientFields::from([
                    (RecipientField::Name, &*format!("{mark} recipient")),
                    (RecipientField::Comment, &*format!("{mark} comment")),
                ]),
                ..RecipientDraft::default()
            };
            Recipient::create(&mut tx, owner, &draft, now)
                .await
                .unwrap()
        };
        let gone = EmailAddress::parse(&format!("gone-{email}")).unwrap();
        Suppression::add(&mut tx, owner, &gone, SuppressionReason::Manual, None, now)
            .await
            .unwrap();
        let import = ImportId::new(now);
        let file = format!("{mark} file.csv");
        let options = ImportOptions {
            format: FileFormat {
                encoding: TextEncoding::Utf8,
                delimiter: Delimiter::Comma,
                has_header: true,
            },
            mapping: vec![ColumnTarget::Email],
            list: None,
        };
        tx.commit().await.unwrap();
        let upload = stored_file(db, owner, b"email\n", now).await.unwrap();
        let mut tx = db.write().await.unwrap();
        Import::create(&mut tx, owner, import, &upload, &file, &options, now)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let name = format!("{mark} list {import}");
        let list = list(db, owner, &name, 0, 0, now).await.unwrap();
        let mut tx = db.write().await.unwrap();
        Recipient::add_to(&mut tx, owner, list, &[recipient], now)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let message = message(db, owner, &format!("{mark} subject"), mark, now)
            .await
            .unwrap();
        let sending = sending_run(db, owner, std::slice::from_ref(&email), now, None)
            .await
            .unwrap();
        let draft = mailing(db, owner, &[list], MailingDraft::default(), now)
            .await
            .unwrap();
        let token = UnsubscribeToken {
            owner,
            mailing: draft,
            email: EmailAddress::parse(&email).unwrap(),
        };
        let feedback = feedback_id(draft, owner);
        let letter = format!(
            "From: a@example.org\r\nTo: {email}\r\nSubject: {mark}\r\nFeedback-ID: {feedback}\r\n\r\n{mark}\r\n"
        );
        self.site.sandbox.push(
            Timestamp::from_millis(0),
            "a@example.org".to_owned(),
            vec![email],
            letter.into(),
        );
        let (post, slug, picture) = self.article(&mark.to_lowercase()).await;
        Things {
            owner,
            post,
            slug,
            picture,
            recipient,
            list,
            message,
            import,
            passkey: passkey(db, owner, now).await.unwrap(),
            gone,
            sending,
            draft,
            unsubscribe: self.site.app.unsubscribe_key.sign(&token),
            server: self.server(&format!("{mark} server {import}")).await,
            letter: self.site.sandbox.count(),
        }
    }

    async fn server(&self, name: &str) -> ServerId {
        let (now, secret) = (self.site.clock.now(), &self.site.app.settings.secret);
        let draft = ServerDraft {
            name: name.to_owned(),
            host: "mail.example.org".to_owned(),
            ..ServerDraft::default()
        };
        let mut tx = self.site.db.write().await.unwrap();
        let (password, actor) = (PasswordChange::Keep, Actor::COMMAND);
        let made = SendingServer::create(&mut tx, &draft, &password, secret, actor, now).await;
        tx.commit().await.unwrap();
        made.unwrap()
    }
}

impl World {
    /// Creates a published post with a picture. It is public, so `mark` is given in lower case.
    async fn article(&self, mark: &str) -> (PostId, String, String) {
        let Site { db, clock, app, .. } = &self.site;
        let now = clock.now();
        let mut tx = db.write().await.unwrap();
        let writer = User::get(&mut tx, self.ids[&Who::Content]).await.unwrap();
        let editor = Editor::of(&writer.unwrap()).unwrap();
        let draft = PostDraft {
            title: format!("{mark} post"),
            author: mark.to_owned(),
            language: "en".to_owned(),
            body: mark.to_owned(),
            tags: vec!["news".to_owned()],
            ..PostDraft::default()
        };
        let id = Post::create(&mut tx, editor, &draft, now).await.unwrap();
        Post::publish(&mut tx, editor, id, 1, None, now)
            .await
            .unwrap();
        let slug = Post::get(&mut tx, editor, id).await.unwrap().unwrap().slug;
        tx.commit().await.unwrap();
        let name = "0123456789abcdef01234567-1.jpg";
        app.settings
            .gallery
            .put(name, Bytes::from_static(b"x"))
            .await
            .unwrap();
        (id, slug, name.to_owned())
    }
}

impl Things {
    /// The path of a route with these things as its parameters.
    pub fn fill(&self, path: &str) -> String {
        let mut filled = String::new();
        let mut before = "";
        for part in path.split('/').skip(1) {
            filled.push('/');
            match part.strip_prefix('{') {
                Some(name) => filled.push_str(&self.value(before, name.trim_end_matches('}'))),
                None => filled.push_str(part),
            }
            before = part;
        }
        filled
    }

    /// All ids, to be used where they do not belong.
    pub fn ids(&self) -> Vec<String> {
        [
            self.recipient.to_string(),
            self.list.to_string(),
            self.message.to_string(),
            self.draft.to_string(),
            self.sending.mailing.to_string(),
            self.sending.id.to_string(),
            self.import.to_string(),
            self.owner.to_string(),
        ]
        .into()
    }

    /// A form or query with its placeholders replaced by these things.
    pub fn fill_form(&self, form: &str) -> String {
        form.replace("{recipient}", &self.recipient.to_string())
            .replace("{list}", &self.list.to_string())
            .replace("{message}", &self.message.to_string())
            .replace("{mailing}", &self.draft.to_string())
            .replace("{run}", &self.sending.id.to_string())
            .replace("{gone}", self.gone.as_str())
    }

    /// The value of a parameter after a path segment. A new kind of thing needs a line here.
    fn value(&self, after: &str, name: &str) -> String {
        match (after, name) {
            ("mailings", "id") => self.sending.mailing.to_string(),
            ("runs", "run") => self.sending.id.to_string(),
            ("messages", "id") => self.message.to_string(),
            ("lists", "id") => self.list.to_string(),
            ("recipients", "id") => self.recipient.to_string(),
            ("import", "id") => self.import.to_string(),
            ("passkeys", "id") => self.passkey.to_string(),
            ("users", "id") => self.owner.to_string(),
            ("servers", "id") => self.server.to_string(),
            ("sandbox", "number") => self.letter.to_string(),
            ("verify" | "reset" | "email" | "undo" | "colleague" | "late", "token") => {
                "no-such-link".to_owned()
            }
            ("posts", "id") => self.post.to_string(),
            ("versions", "version") => "1".to_owned(),
            ("blog", "slug") => self.slug.clone(),
            ("tag", "tag") => "news".to_owned(),
            ("media", "name") => self.picture.clone(),
            ("u", "token") => self.unsubscribe.clone(),
            ("resubscribe", "proof") => "no-such-proof".to_owned(),
            ("assets", "name") => skychimp_web::kit::assets::url("app.css")
                .rsplit_once('/')
                .unwrap()
                .1
                .to_owned(),
            _ => panic!("{after}/{{{name}}}: say in tests/it/world.rs what stands there"),
        }
    }
}
