//! Two processes of the site on one database, as their readers see them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use skychimp_core::accounts::user::{Role, User};
use skychimp_core::blog::post::{Editor, Post, PostDraft};
use skychimp_core::platform::ids::PostId;
use skychimp_core::platform::time::Clock;
use skychimp_core::testing::{TestDb, user};

use crate::service::Service;
use crate::support::Home;

const READERS: usize = 40;
const VIEWS: usize = 250;

struct Author<'a>(&'a TestDb, Editor);

impl<'a> Author<'a> {
    async fn new(db: &'a TestDb) -> Self {
        user(db, "carl", Role::ContentManager).await.unwrap();
        let mut tx = db.read().await.unwrap();
        let carl = User::by_email(&mut tx, "carl@example.org")
            .await
            .unwrap()
            .unwrap();
        Self(db, Editor::of(&carl).unwrap())
    }

    async fn publish(&self, slug: &str, body: &str) -> PostId {
        let now = Clock::system().now();
        let draft = PostDraft {
            title: slug.to_owned(),
            slug: slug.to_owned(),
            author: "Carl".to_owned(),
            language: "en".to_owned(),
            body: body.to_owned(),
            ..PostDraft::default()
        };
        let mut tx = self.0.write().await.unwrap();
        let id = Post::create(&mut tx, self.1, &draft, now).await.unwrap();
        Post::publish(&mut tx, self.1, id, 1, None, now)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        id
    }

    /// Changes the text, or unpublishes the post.
    async fn change(&self, id: PostId, body: Option<&str>) {
        let now = Clock::system().now();
        let mut tx = self.0.write().await.unwrap();
        let post = Post::get(&mut tx, self.1, id).await.unwrap().unwrap();
        match body {
            Some(body) => {
                let draft = PostDraft {
                    body: body.to_owned(),
                    ..post.draft(&[])
                };
                Post::save(&mut tx, self.1, id, post.version, &draft, now)
                    .await
                    .unwrap();
            }
            None => {
                Post::unpublish(&mut tx, self.1, id, post.version, now)
                    .await
                    .unwrap();
            }
        }
        tx.commit().await.unwrap();
    }

    async fn views(&self, id: PostId) -> i64 {
        let mut tx = self.0.read().await.unwrap();
        Post::views(&mut tx, &[id]).await.unwrap()[&id]
    }
}

/// Requests a page `times` times over one connection.
fn read(url: &str, path: &str, times: usize) {
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    for _ in 0..times {
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
        let (mut line, mut length) = (String::new(), 0);
        answers.read_line(&mut line).unwrap();
        assert!(line.starts_with("HTTP/1.1 200 "), "{line}");
        while line != "\r\n" {
            line.clear();
            answers.read_line(&mut line).unwrap();
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        answers.read_exact(&mut vec![0; length]).unwrap();
    }
}

/// R49: ten thousand concurrent views on two nodes are counted exactly, including the last ones
/// before the shutdown.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_views_are_ten_thousand() {
    let mut home = Home::new().await;
    home.set("SECRET_KEY", "0123456789abcdef0123456789abcdef");
    let author = Author::new(home.database()).await;
    let id = author.publish("spring", "It is *spring*.").await;
    let serve = |folder| Service::start(home.command(&["serve", "--json", "--data-dir", folder]));
    let nodes = [serve("one"), serve("two")];
    let readers: Vec<_> = (0..READERS)
        .map(|n| {
            let url = nodes[n % 2].url.clone();
            std::thread::spawn(move || read(&url, "/blog/spring", VIEWS))
        })
        .collect();
    for reader in readers {
        reader.join().unwrap();
    }
    for node in nodes {
        node.stop().done();
    }
    assert_eq!(author.views(id).await, 10_000);
}

/// R57: a change made by one process is visible in the other immediately.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn changes_hold_in_other_processes_at_once() {
    let mut home = Home::new().await;
    home.set("SECRET_KEY", "0123456789abcdef0123456789abcdef");
    let author = Author::new(home.database()).await;
    let id = author.publish("spring", "Round 0.").await;
    let node = Service::start(home.command(&["serve", "--json"]));
    for round in 1..=20 {
        node.get("/blog/spring");
        let text = format!("Round {round}.");
        author.change(id, Some(&text)).await;
        assert!(node.get("/blog/spring").contains(&text), "{text}");
    }
    assert!(node.get("/").contains("/blog/spring"));
    author.change(id, None).await;
    assert!(node.get("/blog/spring").starts_with("HTTP/1.0 404 "));
    assert!(!node.get("/").contains("/blog/spring"));
    node.stop().done();
}
