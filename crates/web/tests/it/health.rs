//! A process that cannot work says so, to programs and to people.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use skychimp_core::accounts::user::Role;
use skychimp_core::platform::disk::{Disk, DiskSpace};
use skychimp_core::sending::worker::{EngineHealth, Worker};
use skychimp_core::testing::{refuse_probes, sending_run};

use crate::browser::Site;

/// A disk of 100 GB with this much free. Each clone is measured again after a second.
fn disk(free: &Arc<AtomicU64>) -> Disk {
    let free = Arc::clone(free);
    Disk::measured_by(500_000_000, move || {
        Some(vec![DiskSpace {
            total: 100_000_000_000,
            free: free.load(Ordering::Relaxed),
        }])
    })
}

/// R28: a process is not ready while disk space is short; it says how much is free.
#[tokio::test]
async fn full_disk_is_not_ready() {
    let site = Site::new().await;
    let free = Arc::new(AtomicU64::new(6_000_000_000));
    let (_app, mut visitor) = site.node(|settings| settings.disk = disk(&free));
    assert_eq!(visitor.get("/readyz").await.body, "ok\n");
    free.store(4_000_000_000, Ordering::Relaxed);
    let (_app, mut visitor) = site.node(|settings| settings.disk = disk(&free));
    let answer = visitor.get("/readyz").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        answer.body,
        "disk: 4000 MB of disk space are free; disk_floor keeps 5000 MB\n"
    );
    assert_eq!(visitor.get("/healthz").await.status, StatusCode::OK);
}

/// R28: a process is not ready while its database can only be read.
#[tokio::test]
async fn read_only_database_is_not_ready() {
    let site = Site::new().await;
    refuse_probes(&site.db).await.unwrap();
    let answer = site.stranger().get("/readyz").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.body, "database cannot be written\n");
}

/// R28: administrators see on their pages why no letters leave, in their language; others do not.
#[tokio::test]
async fn administrators_see_what_is_wrong() {
    let site = Site::new().await;
    site.user("root", Role::Admin).await;
    site.user("ann", Role::User).await;
    let (root, ann) = (site.login("root").await, site.login("ann").await);
    let health = EngineHealth::new(site.clock.now() + Duration::from_hours(1));
    let engine = Some(health.clone());
    let (_app, mut admin) = site.node(|settings| settings.engine = engine);
    let mut user = admin.clone();
    admin.cookies = root.cookies;
    user.cookies = ann.cookies;
    assert!(!admin.get("/").await.body.contains("id=\"health\""));
    health.failing("scheduler", "it panicked".to_owned());
    for address in ["/", "/manage/overview"] {
        let page = admin.get(address).await.body;
        assert!(page.contains("The sending engine of this process is not working"));
        assert!(page.contains("scheduler failed"), "{page}");
    }
    assert!(!user.get("/").await.body.contains("id=\"health\""));
    let free = Arc::new(AtomicU64::new(1));
    let (_app, mut visitor) = site.node(|settings| settings.disk = disk(&free));
    visitor.cookies = admin.cookies.clone();
    visitor.language = "ru";
    assert!(
        visitor
            .get("/?lang=ru")
            .await
            .body
            .contains("На диске мало места")
    );
}

/// R28: the page of a mailing that has letters to send says why they do not leave.
#[tokio::test]
async fn mailings_that_stand_still_say_why() {
    let site = Site::new().await;
    let ann = site.user("ann", Role::User).await;
    let now = site.clock.now();
    let people = ["bob@example.net".to_owned()];
    let run = sending_run(&site.db, ann, &people, now, None)
        .await
        .unwrap();
    let address = format!("/mailings/{}", run.mailing);
    let mut owner = site.login("ann").await;
    assert!(!owner.get(&address).await.body.contains("id=\"stuck\""));
    // a site without an engine, and no worker that holds its lease
    let (_app, mut other) = site.node(|settings| settings.engine = None);
    other.cookies = owner.cookies.clone();
    let page = other.get(&address).await.body;
    assert!(page.contains("No process is sending letters"), "{page}");
    let id = skychimp_core::platform::ids::WorkerId::new(now);
    let mut tx = site.db.write().await.unwrap();
    let until = now + Duration::from_mins(1);
    Worker::start(&mut tx, id, "elsewhere 1", now, until)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert!(!other.get(&address).await.body.contains("id=\"stuck\""));
}
