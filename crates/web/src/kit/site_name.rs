//! The installation's name as pages show it: read from the database, kept for a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::site_name::SiteName;

/// How long a name is shown before it is read again. So long another node may show the old one.
const AGE_MAX: Duration = Duration::from_secs(1);

/// The name read last.
#[derive(Debug)]
pub(crate) struct ShownSiteName(RwLock<Shown>);

#[derive(Debug)]
struct Shown {
    name: Arc<str>,
    read_at: Option<Instant>,
}

impl Default for ShownSiteName {
    fn default() -> Self {
        Self(RwLock::new(Shown {
            name: SiteName::default().as_str().into(),
            read_at: None,
        }))
    }
}

impl ShownSiteName {
    /// The name.
    pub(crate) fn get(&self) -> Arc<str> {
        Arc::clone(&self.0.read().name)
    }

    /// Shows this name from now on.
    pub(crate) fn set(&self, name: &SiteName) {
        let mut shown = self.0.write();
        shown.read_at = Some(Instant::now());
        if *shown.name != *name.as_str() {
            shown.name = name.as_str().into();
        }
    }

    /// Reads the name if it is old, or always for a page that others will see too (`kept`).
    pub(crate) async fn refresh(&self, db: &Db, kept: bool) -> Result<(), Error> {
        let read_at = self.0.read().read_at;
        if !kept && read_at.is_some_and(|at| at.elapsed() < AGE_MAX) {
            return Ok(());
        }
        let mut tx = db.read().await?;
        let name = SiteName::of(&mut tx).await?;
        self.set(&name);
        Ok(())
    }
}
