//! How many files and sockets this process may have open, and how many of them visitors may use.

/// Most descriptors that are kept back for database, engine and files.
const KEPT_MAX: usize = 1_024;

/// Raises the soft limit of open files to the hard one. Returns the limit; `None` if there is none
/// or it is unknown.
#[cfg(unix)]
pub fn raise_limit() -> Option<usize> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let now = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files could not be raised");
            limit.current
        }
    };
    now.and_then(|limit| usize::try_from(limit).ok())
}

/// There is no such limit here.
#[cfg(not(unix))]
pub fn raise_limit() -> Option<usize> {
    None
}

/// How many connections visitors may have when so many are configured and this many files may be
/// open.
pub fn connections(configured: usize, limit: Option<usize>) -> usize {
    limit.map_or(configured, |limit| {
        let kept = (limit / 2).min(KEPT_MAX);
        configured.min((limit - kept).max(1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R28: visitors never use the descriptors that database and engine need.
    #[test]
    fn descriptors_are_kept_back() {
        assert_eq!(connections(4_096, None), 4_096);
        assert_eq!(connections(4_096, Some(1_000_000)), 4_096);
        assert_eq!(connections(4_096, Some(4_096)), 3_072);
        assert_eq!(connections(4_096, Some(1_024)), 512);
        assert_eq!(connections(100, Some(1_024)), 100);
        assert_eq!(connections(100, Some(2)), 1);
    }
}
