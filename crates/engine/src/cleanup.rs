//! Removes what nobody needs any more: sessions, links and limits that are over, old letters of the
//! outbox and counters of mail servers, uploads that nobody imported, files and archives that have
//! expired, pictures that no post shows, what deleted accounts owned, and, when a time is set, who
//! got what in runs long over.

use std::time::Duration;

use skychimp_core::accounts::late_form::LateForm;
use skychimp_core::accounts::limit::RateLimit;
use skychimp_core::accounts::login_step::LoginStep;
use skychimp_core::accounts::session::Session;
use skychimp_core::accounts::submission::{self, Submission};
use skychimp_core::accounts::token::EmailToken;
use skychimp_core::accounts::user::User;
use skychimp_core::blog::media;
use skychimp_core::oversight::archive::UserArchive;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::stored_file::StoredFile;
use skychimp_core::recipients::import::Import;
use skychimp_core::sending::outbox::OutboxLetter;
use skychimp_core::sending::run::Run;
use skychimp_core::sending::sending_server::MinuteOutcomes;

use crate::EngineConfig;

/// Interval between two cleanups.
const CLEANUP_INTERVAL: Duration = Duration::from_hours(1);
/// How often to look for deleted accounts without being woken.
const ERASE_INTERVAL: Duration = Duration::from_mins(1);
/// How often expired files are looked for without being woken.
const FILES_INTERVAL: Duration = Duration::from_mins(1);
/// How often to look again while letters of a deleted account are in flight.
const ERASE_RETRY: Duration = Duration::from_secs(2);
/// How long finished outbox letters are kept.
const OUTBOX_RETENTION: Duration = Duration::from_hours(14 * 24);
/// How long the per-minute counters of mail servers are kept; limits look back a day.
const USAGE_RETENTION: Duration = Duration::from_hours(7 * 24);

/// Runs per query for old runs.
const RUNS_BATCH: i64 = 100;
/// Pause between two slices of deletions.
const BATCH_PAUSE: Duration = Duration::from_millis(20);

/// Counts of what was removed or ended.
#[derive(Debug, Default, PartialEq, Eq)]
struct CleanupCounts {
    sessions: u64,
    letters: u64,
    imports: u64,
    uploads: u64,
    archives: u64,
    pictures: u64,
    deliveries: u64,
}

/// Removes files soon after they have expired.
pub async fn remove_files(config: EngineConfig) {
    let mut signal = config.db.wake().subscribe();
    loop {
        signal.mark_unchanged();
        match StoredFile::remove_expired(&config.db, config.clock.now()).await {
            Ok(0) => {}
            Ok(files) => tracing::debug!(files, "removed expired files"),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "expired files could not be removed"
                );
            }
        }
        tokio::select! {
            _ = signal.changed() => {}
            () = tokio::time::sleep(FILES_INTERVAL) => {}
        }
    }
}

/// Removes what deleted accounts owned as soon as they are deleted.
pub async fn erase(config: EngineConfig) {
    let mut signal = config.db.wake().subscribe();
    loop {
        signal.mark_unchanged();
        let wait = match User::erase_deleted(&config.db, config.clock.now()).await {
            Ok((gone, waiting)) => {
                if gone > 0 {
                    tracing::info!(accounts = gone, "erased what deleted accounts owned");
                }
                if waiting { ERASE_RETRY } else { ERASE_INTERVAL }
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "erasing deleted accounts failed"
                );
                ERASE_INTERVAL
            }
        };
        tokio::select! {
            _ = signal.changed() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Cleans up at the start and then every hour.
pub async fn clean_up(config: EngineConfig) {
    loop {
        match step(&config).await {
            Ok(done) if done == CleanupCounts::default() => {}
            Ok(CleanupCounts {
                sessions,
                letters,
                imports,
                uploads,
                archives,
                pictures,
                deliveries,
            }) => {
                tracing::info!(
                    sessions,
                    letters,
                    imports,
                    uploads,
                    archives,
                    pictures,
                    deliveries,
                    "cleaned up"
                );
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "cleaning up failed"
                );
            }
        }
        tokio::time::sleep(CLEANUP_INTERVAL).await;
    }
}

async fn step(config: &EngineConfig) -> Result<CleanupCounts, Error> {
    let now = config.clock.now();
    let mut tx = config.db.write().await?;
    let sessions = Session::clean_up(&mut tx, now).await?;
    EmailToken::clean_up(&mut tx, now).await?;
    LoginStep::clean_up(&mut tx, now).await?;
    LateForm::clean_up(&mut tx, now).await?;
    RateLimit::clean_up(&mut tx, now).await?;
    let letters = OutboxLetter::clean_up(&mut tx, now - OUTBOX_RETENTION).await?;
    MinuteOutcomes::clean_up(&mut tx, now - USAGE_RETENTION).await?;
    Submission::clean_up(&mut tx, now - submission::SUBMISSION_RETENTION).await?;
    let imports = Import::fail_without_file(&mut tx, now).await?;
    let uploads = Import::forget_unfinished(&mut tx, now).await?;
    let archives = UserArchive::clean_up(&mut tx, now).await?;
    tx.commit().await?;
    Ok(CleanupCounts {
        sessions,
        letters,
        imports,
        uploads,
        archives,
        pictures: media::clean_up(&config.db, &config.gallery, now).await?,
        deliveries: forget(config).await?,
    })
}

/// Deletes the recipients of runs that ended long enough ago, in small transactions with pauses
/// between them so that sending has priority. Returns the number of deliveries removed.
async fn forget(config: &EngineConfig) -> Result<u64, Error> {
    let Some(keep) = config.keep else {
        return Ok(0);
    };
    let before = config.clock.now() - keep;
    let mut removed = 0;
    loop {
        let mut tx = config.db.read().await?;
        let runs = Run::to_forget(&mut tx, before, RUNS_BATCH).await?;
        drop(tx);
        if runs.is_empty() {
            return Ok(removed);
        }
        for (owner, run) in runs {
            loop {
                let mut tx = config.db.write().await?;
                let slice = Run::forget_slice(&mut tx, owner, run, config.clock.now()).await?;
                tx.commit().await?;
                removed += slice;
                if slice == 0 {
                    break;
                }
                tokio::time::sleep(BATCH_PAUSE).await;
            }
        }
    }
}
