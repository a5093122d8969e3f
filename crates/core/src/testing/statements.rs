//! Collects the statements that the suites execute, to check their plans (`tests/plans`).
//!
//! With `COLLECT_STATEMENTS` set, each statement is written to a file in that folder, in a
//! subfolder named after the database. Statements of the tests themselves begin with [`OF_A_TEST`].

use std::collections::HashSet;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

/// Prefix of statements that only tests execute. Their plans are not checked.
pub const OF_A_TEST: &str = "/* test */";

/// The target under which sqlx logs statements.
const TARGET: &str = "sqlx::query";

/// Starts collecting, once per process, if it is enabled.
#[expect(clippy::expect_used, reason = "a suite that cannot collect must fail")]
pub(super) fn collect(kind: &str) {
    static STARTED: OnceLock<()> = OnceLock::new();
    let Ok(folder) = std::env::var("COLLECT_STATEMENTS") else {
        return;
    };
    STARTED.get_or_init(|| {
        let folder = Path::new(&folder).join(kind);
        std::fs::create_dir_all(&folder).expect("the folder of statements can be made");
        let collector = Collector {
            folder,
            known: Mutex::default(),
            spans: AtomicU64::new(1),
        };
        tracing::subscriber::set_global_default(collector).expect("no other subscriber is set");
    });
}

/// Receives what sqlx logs, and nothing else.
struct Collector {
    folder: PathBuf,
    known: Mutex<HashSet<String>>,
    spans: AtomicU64,
}

impl Collector {
    #[expect(clippy::expect_used, reason = "a suite that cannot collect must fail")]
    fn keep(&self, sql: &str) {
        let sql = sql.trim();
        if !is_explained(sql) || !self.known.lock().insert(sql.to_owned()) {
            return;
        }
        let name = Sha256::digest(sql.as_bytes());
        let name = name
            .iter()
            .take(8)
            .fold(String::new(), |name, byte| name + &format!("{byte:02x}"));
        let path = self.folder.join(name).with_extension("sql");
        if !path.exists() {
            std::fs::write(&path, sql).expect("a statement can be kept");
        }
    }
}

/// Whether a statement has a plan to check.
fn is_explained(sql: &str) -> bool {
    let first = sql.split_whitespace().next().unwrap_or_default();
    // others (schema, transactions, tests) have none, or one that does not matter
    ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"].contains(&first)
}

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == TARGET
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(self.spans.fetch_add(1, Ordering::Relaxed))
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut statement = Statement::default();
        event.record(&mut statement);
        // sqlx logs a statement of up to four words only as the summary
        self.keep(if statement.whole.is_empty() {
            &statement.summary
        } else {
            &statement.whole
        });
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Statement {
    summary: String,
    whole: String,
}

impl Visit for Statement {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => value.clone_into(&mut self.summary),
            "db.statement" => value.clone_into(&mut self.whole),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}
