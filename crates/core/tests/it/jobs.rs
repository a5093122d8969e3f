//! Jobs: imports and archives that are interrupted, and whose turn it is.

use std::fmt::Write as _;
use std::io::{Cursor, Read as _};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use skychimp_core::accounts::audit::Actor;
use skychimp_core::accounts::user::{Role, User};
use skychimp_core::oversight::archive::{ArchiveState, UserArchive};
use skychimp_core::platform::address::EmailAddress;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::{ImportId, ListId, UserId};
use skychimp_core::platform::job::{Job, JobContext, JobEnd, JobKind};
use skychimp_core::platform::stored_file::StoredFile;
use skychimp_core::platform::time::{Clock, Timestamp};
use skychimp_core::recipients::import::{
    self, Hints, Import, ImportFailure, ImportOptions, ImportState, RejectedRow, RejectedRows,
    RowCounts,
};
use skychimp_core::recipients::list::List;
use skychimp_core::recipients::suppression::{Suppression, SuppressionReason};
use skychimp_core::sending::worker::Worker;
use skychimp_core::testing::{PlainLetters, TestDb, count, job_context, raw, stored_file, user};
use tokio_util::sync::CancellationToken;

use crate::support::at;

fn now() -> Timestamp {
    at("2027-01-01T00:00:00Z")
}

fn later() -> Timestamp {
    now() + Duration::from_mins(1)
}

/// A worker whose lease is over at [`later`], and what its jobs work with.
async fn worker(db: &Db) -> JobContext {
    job_context(db, now()).await.unwrap()
}

/// The worker did not respond until its lease had expired.
async fn lose(context: &JobContext) {
    let mut tx = context.db.write().await.unwrap();
    let buried = Worker::expire(&mut tx, context.worker, "", later(), later()).await;
    tx.commit().await.unwrap();
    assert_eq!(buried.unwrap(), Some(0));
}

async fn claim(context: &JobContext) -> Option<Job> {
    let mut tx = context.db.write().await.unwrap();
    let job = Job::claim(&mut tx, context.worker, later()).await.unwrap();
    tx.commit().await.unwrap();
    job
}

/// Stores a file, and starts an import of it.
async fn start(db: &Db, owner: UserId, text: &str, list: Option<ListId>) -> ImportId {
    let id = ImportId::new(now());
    let file = stored_file(db, owner, text.as_bytes(), now()).await;
    let options = options(text, list);
    let mut tx = db.write().await.unwrap();
    Import::create(&mut tx, owner, id, &file.unwrap(), "a.csv", &options, now())
        .await
        .unwrap();
    Import::start(&mut tx, owner, id, &options, now())
        .await
        .unwrap();
    let twice = Import::start(&mut tx, owner, id, &options, now()).await;
    assert!(matches!(twice, Err(Error::State(_))), "{twice:?}");
    tx.commit().await.unwrap();
    id
}

fn options(text: &str, list: Option<ListId>) -> ImportOptions {
    let preview = import::inspect(text.as_bytes(), Hints::default()).unwrap();
    ImportOptions {
        mapping: preview.mapping(),
        format: preview.format,
        list,
    }
}

async fn get(db: &Db, owner: UserId, id: ImportId) -> Import {
    let mut tx = db.read().await.unwrap();
    let found = Import::get(&mut tx, owner, id, now()).await.unwrap();
    found.unwrap()
}

async fn rejected(db: &Db, owner: UserId, id: ImportId) -> Vec<RejectedRow> {
    let mut rows = RejectedRows::of(db, owner, &get(db, owner, id).await);
    let mut all = Vec::new();
    loop {
        let page = rows.page().await.unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

async fn recipients(db: &Db, owner: UserId) -> i64 {
    let mut tx = db.read().await.unwrap();
    let belongings = User::count_contents(&mut tx, owner).await.unwrap();
    belongings.recipients
}

/// Somebody with recipients that the file of [`mixed`] knows, and a list.
async fn owner(db: &Db, name: &str) -> (UserId, ListId) {
    let owner = user(db, name, Role::User).await.unwrap();
    let mut known = String::from("email,name,city\n");
    for n in (0..14_000).step_by(7) {
        writeln!(known, "r{n}@example.org,Name {n},Old {}", n % 2).unwrap();
    }
    let options = options(&known, None);
    let file = Cursor::new(known.into_bytes());
    let (clock, stop) = (Clock::fixed(now()), CancellationToken::new());
    import::run(db, owner, file, &options, None, &clock, |_| {}, &stop)
        .await
        .unwrap();
    let mut tx = db.write().await.unwrap();
    for n in [1, 7, 9_000] {
        let email = EmailAddress::parse(&format!("r{n}@example.org")).unwrap();
        Suppression::add(
            &mut tx,
            owner,
            &email,
            SuppressionReason::Manual,
            None,
            now(),
        )
        .await
        .unwrap();
    }
    let list = List::find_or_create(&mut tx, owner, "All", now()).await;
    tx.commit().await.unwrap();
    (owner, list.unwrap())
}

/// New, known, changed and suppressed people, addresses that come again near and far, wrong rows,
/// and records over several lines.
fn mixed() -> String {
    let mut text = String::from("email,name,city\n");
    for n in 0..14_000 {
        let city = if n % 14 == 0 { "Old 0" } else { "New" };
        writeln!(text, "r{n}@example.org,Name {n},{city}").unwrap();
        match n % 100 {
            3 => writeln!(text, "R{n}@example.org,Again,").unwrap(),
            4 => writeln!(text, "r{}@example.org,Far away,", n / 2).unwrap(),
            5 => writeln!(text, "nobody {n},,").unwrap(),
            6 => writeln!(text, "m{n}@example.org,\"Two\nlines\",x").unwrap(),
            8 => text.push('\n'),
            _ => {}
        }
    }
    text
}

/// What an import of [`mixed`] gives that nobody interrupts.
async fn whole(db: &Db) -> (RowCounts, Vec<RejectedRow>, i64) {
    let (bob, list) = owner(db, "bob").await;
    let id = start(db, bob, &mixed(), Some(list)).await;
    let context = worker(db).await;
    let job = claim(&context).await.unwrap();
    let end = Import::perform(&context, &job).await.unwrap();
    assert_eq!(end, JobEnd::Finished);
    let done = get(db, bob, id).await;
    assert_eq!((done.state, done.percent()), (ImportState::Done, 100));
    lose(&context).await;
    (
        done.groups(),
        rejected(db, bob, id).await,
        recipients(db, bob).await,
    )
}

/// R8: an import that loses its worker after every batch ends by itself, and every group, every
/// rejected row and the recipients are those of an import that nobody interrupted.
#[tokio::test]
async fn import_continues_after_every_batch() {
    let db = TestDb::new().await.unwrap();
    let (groups, errors, people) = whole(&db).await;
    // the command counts alike
    let (carol, list) = owner(&db, "carol").await;
    let outcome = import::run(
        &db,
        carol,
        Cursor::new(mixed().into_bytes()),
        &options(&mixed(), Some(list)),
        None,
        &Clock::fixed(now()),
        |_| {},
        &CancellationToken::new(),
    )
    .await
    .unwrap();
    assert_eq!(outcome.groups, groups);
    for group in [
        groups.added,
        groups.updated,
        groups.unchanged,
        groups.duplicate,
        groups.invalid,
        groups.suppressed,
    ] {
        assert!(group > 0, "{groups:?}");
    }

    let (ann, list) = owner(&db, "ann").await;
    let before = recipients(&db, ann).await;
    let id = start(&db, ann, &mixed(), Some(list)).await;
    // somebody waits, so a turn is one batch
    let dan = user(&db, "dan", Role::User).await.unwrap();
    start(&db, dan, "email\nx@example.org\n", None).await;
    let mut turns = 0;
    let mut lost: Option<(JobContext, Job)> = None;
    loop {
        let mut context = worker(&db).await;
        context.turn = Duration::ZERO;
        let job = claim(&context).await.unwrap();
        assert_eq!((job.owner_id, job.attempts), (ann, 1));
        assert_eq!(get(&db, ann, id).await.state, ImportState::Running);
        if let Some((before, job)) = lost.take() {
            // the worker that was declared dead stores nothing more
            let late = Import::perform(&before, &job).await;
            assert!(matches!(late, Err(Error::Conflict)), "{late:?}");
        }
        let end = Import::perform(&context, &job).await.unwrap();
        let import = get(&db, ann, id).await;
        let stored = recipients(&db, ann).await - before;
        let new = i64::try_from(import.groups().added + import.groups().suppressed).unwrap();
        // of those who are suppressed, one was known before
        assert!(
            (new - 1..=new).contains(&stored),
            "{stored} {:?}",
            import.groups()
        );
        lose(&context).await;
        turns += 1;
        if end == JobEnd::Finished {
            break;
        }
        assert_eq!(get(&db, ann, id).await.state, ImportState::Waiting);
        lost = Some((context, job));
    }
    assert!(turns >= 3, "{turns}");
    let done = get(&db, ann, id).await;
    assert_eq!((done.state, done.groups()), (ImportState::Done, groups));
    assert_eq!(rejected(&db, ann, id).await, errors);
    assert_eq!(recipients(&db, ann).await, people);
}

/// The result of `work`; `None` when it has not ended after so many steps; the
/// caller drops it then.
async fn dropped_after<T>(
    mut steps: u64,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    std::future::poll_fn(|cx| {
        steps -= 1;
        match work.as_mut().poll(cx) {
            Poll::Ready(end) => Poll::Ready(Some(end)),
            Poll::Pending if steps == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// R8: the same wherever the process is killed, inside of a batch too.
#[tokio::test]
async fn import_continues_wherever_it_is_killed() {
    let db = TestDb::new().await.unwrap();
    let (groups, errors, people) = whole(&db).await;
    let (ann, list) = owner(&db, "ann").await;
    let id = start(&db, ann, &mixed(), Some(list)).await;
    // each life is longer than the one before, so that one gets on before the import gives up,
    // however many steps a batch takes on a busy machine
    let (mut kills, mut steps) = (0_u64, 6);
    loop {
        let context = worker(&db).await;
        let job = claim(&context).await.unwrap();
        let end = dropped_after(steps, pin!(Import::perform(&context, &job))).await;
        lose(&context).await;
        if let Some(end) = end {
            assert_eq!(end.unwrap(), JobEnd::Finished);
            break;
        }
        (kills, steps) = (kills + 1, steps + steps / 3);
    }
    assert!(kills >= 3, "{kills}");
    let done = get(&db, ann, id).await;
    assert_eq!((done.state, done.groups()), (ImportState::Done, groups));
    assert_eq!(rejected(&db, ann, id).await, errors);
    assert_eq!(recipients(&db, ann).await, people);
}

/// R25: a small import of somebody else does not wait for the end of a big one, and an owner has
/// one job at a time.
#[tokio::test]
async fn small_import_passes_a_big_one() {
    let db = TestDb::new().await.unwrap();
    let (ann, _) = owner(&db, "ann").await;
    let bob = user(&db, "bob", Role::User).await.unwrap();
    let big = start(&db, ann, &mixed(), None).await;
    start(&db, ann, "email\nsecond@example.org\n", None).await;
    let mut context = worker(&db).await;
    context.turn = Duration::ZERO;
    let first = claim(&context).await.unwrap();
    assert_eq!(first.id, big.into());
    assert_eq!(
        claim(&context).await,
        None,
        "a second job of the same owner"
    );
    let small = start(&db, bob, "email\nb@example.org\n", None).await;
    let end = Import::perform(&context, &first).await.unwrap();
    assert_eq!(end, JobEnd::Unfinished);
    let mut tx = db.write().await.unwrap();
    Job::release(&mut tx, first.id, context.worker, false, later())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    // bob's is the next of another owner, whatever ann has waiting
    let mut claimed = Vec::new();
    while let Some(job) = claim(&context).await {
        claimed.push(job);
    }
    let owners: Vec<_> = claimed.iter().map(|job| job.owner_id).collect();
    assert_eq!(owners.len(), 2, "{owners:?}");
    let job = claimed.iter().find(|job| job.owner_id == bob).unwrap();
    assert_eq!(job.id, small.into());
    let end = Import::perform(&context, job).await.unwrap();
    assert_eq!(end, JobEnd::Finished);
    assert_eq!(get(&db, bob, small).await.groups().added, 1);
    assert_eq!(get(&db, ann, big).await.state, ImportState::Waiting);
}

/// R6: told to stop, an import ends after its batch, and the next claim continues it.
#[tokio::test]
async fn stopped_import_continues() {
    let db = TestDb::new().await.unwrap();
    let (ann, _) = owner(&db, "ann").await;
    let id = start(&db, ann, &mixed(), None).await;
    let context = worker(&db).await;
    context.stop.cancel();
    let job = claim(&context).await.unwrap();
    let end = Import::perform(&context, &job).await.unwrap();
    assert_eq!(end, JobEnd::Unfinished);
    let mut tx = db.write().await.unwrap();
    Job::release(&mut tx, job.id, context.worker, false, now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let context = worker(&db).await;
    let job = claim(&context).await.unwrap();
    let end = Import::perform(&context, &job).await.unwrap();
    assert_eq!(end, JobEnd::Finished);
    assert_eq!(get(&db, ann, id).await.state, ImportState::Done);
}

/// R8: an import whose file is gone fails with that reason; one that was given up can be continued.
#[tokio::test]
async fn failures_say_why() {
    let db = TestDb::new().await.unwrap();
    let (ann, _) = owner(&db, "ann").await;
    let context = worker(&db).await;
    let id = start(&db, ann, "email\na@example.org\n", None).await;
    raw(&db, "/* test */ DELETE FROM file_parts; DELETE FROM files")
        .await
        .unwrap();
    let job = claim(&context).await.unwrap();
    Import::perform(&context, &job).await.unwrap();
    let failed = get(&db, ann, id).await;
    assert_eq!(failed.failure(), Some(ImportFailure::FileLost));

    // given up after too many failures, it can be continued
    let id = start(&db, ann, "email\nz@example.org\n", None).await;
    let job = claim(&context).await.unwrap();
    let why = Error::Internal("a test".to_owned());
    Import::give_up(&context, &job, &why).await.unwrap();
    let failed = get(&db, ann, id).await;
    assert_eq!(failed.failure(), Some(ImportFailure::GaveUp));
    assert!(failed.can_continue());
    let mut tx = db.write().await.unwrap();
    Import::resume(&mut tx, ann, id, now()).await.unwrap();
    tx.commit().await.unwrap();
    let job = claim(&context).await.unwrap();
    Import::perform(&context, &job).await.unwrap();
    assert_eq!(get(&db, ann, id).await.groups().added, 1);
}

/// R30: nothing of a deleted account is stored by an import that was running.
#[tokio::test]
async fn deleted_account_ends_its_jobs() {
    let db = TestDb::new().await.unwrap();
    let (ann, _) = owner(&db, "ann").await;
    start(&db, ann, &mixed(), None).await;
    let context = worker(&db).await;
    let job = claim(&context).await.unwrap();
    let mut tx = db.write().await.unwrap();
    User::delete(&mut tx, ann, Actor::COMMAND, "", &PlainLetters, now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let late = Import::perform(&context, &job).await;
    assert!(matches!(late, Err(Error::Conflict)), "{late:?}");
    let erased = User::erase_deleted(&db, now()).await.unwrap();
    assert_eq!(erased, (1, false));
    assert_eq!(
        count(&db, "SELECT count(*) FROM file_parts").await.unwrap(),
        0
    );
}

/// R8: an archive that is interrupted is made from its beginning, and its file is whole; what was
/// written before is removed, and the archive itself some days later.
#[tokio::test]
async fn archive_survives_a_kill() {
    let db = TestDb::new().await.unwrap();
    let (ann, _) = owner(&db, "ann").await;
    let mut tx = db.write().await.unwrap();
    UserArchive::request(&mut tx, ann, now()).await.unwrap();
    // a second click
    UserArchive::request(&mut tx, ann, now()).await.unwrap();
    tx.commit().await.unwrap();
    // as in `import_continues_wherever_it_is_killed`
    let (mut kills, mut steps) = (0_u64, 5);
    loop {
        let context = worker(&db).await;
        let job = claim(&context).await.unwrap();
        assert_eq!(job.kind, JobKind::Archive);
        assert_eq!(claim(&context).await, None);
        let end = dropped_after(steps, pin!(UserArchive::perform(&context, &job))).await;
        lose(&context).await;
        if let Some(end) = end {
            assert_eq!(end.unwrap(), JobEnd::Finished);
            break;
        }
        (kills, steps) = (kills + 1, steps + steps / 2);
    }
    assert!(kills > 0);
    let mut tx = db.read().await.unwrap();
    let archive = UserArchive::latest(&mut tx, ann, later()).await.unwrap();
    let archive = archive.unwrap();
    assert_eq!(archive.state, ArchiveState::Ready);
    let file = archive.file(&mut tx, ann, later()).await.unwrap().unwrap();
    let mut bytes = Vec::new();
    let mut after = -1;
    while let Some(part) = StoredFile::next_part(&mut tx, ann, file.id, after)
        .await
        .unwrap()
    {
        after = part.part;
        bytes.extend(part.bytes);
    }
    drop(tx);
    assert_eq!(bytes.len(), usize::try_from(file.bytes).unwrap());
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut people = String::new();
    zip.by_name("recipients.csv")
        .unwrap()
        .read_to_string(&mut people)
        .unwrap();
    assert_eq!(people.lines().count(), 1 + 2_000);

    // a day later only the finished file is left, and then that goes as well
    let tomorrow = now() + Duration::from_hours(25);
    StoredFile::remove_expired(&db, tomorrow).await.unwrap();
    assert_eq!(count(&db, "SELECT count(*) FROM files").await.unwrap(), 1);
    let over = now() + Duration::from_hours(4 * 24);
    StoredFile::remove_expired(&db, over).await.unwrap();
    let mut tx = db.write().await.unwrap();
    assert_eq!(UserArchive::clean_up(&mut tx, over).await.unwrap(), 1);
    tx.commit().await.unwrap();
    assert_eq!(count(&db, "SELECT count(*) FROM files").await.unwrap(), 0);
}
