//! Settings that administrators change on a page while the service runs.

use crate::accounts::audit::{Audit, AuditKind, NewAudit, Subject};
use crate::oversight::moderation::Administrator;
use crate::platform::db::Tx;
use crate::platform::error::Error;
use crate::platform::ids::ContentVersion;
use crate::platform::site_name::SiteName;
use crate::platform::time::Timestamp;

/// Gives the installation another name. Every cached page with the old one is invalid from then on.
pub async fn rename(
    tx: &mut Tx,
    admin: &Administrator,
    name: &SiteName,
    now: Timestamp,
) -> Result<(), Error> {
    let before = SiteName::of(tx).await?;
    if before == *name {
        return Ok(());
    }
    name.save(tx).await?;
    ContentVersion::changed(tx, now).await?;
    let entry = NewAudit {
        actor: admin.actor(),
        kind: AuditKind::SiteRenamed,
        subject: Subject::site(name.as_str()),
        reason: "",
        details: serde_json::json!({ "from": before.as_str(), "to": name.as_str() }),
    };
    Audit::record(tx, &entry, now).await?;
    Ok(())
}
