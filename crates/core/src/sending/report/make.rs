//! Counts the rows of a run for its report.

use std::collections::BTreeMap;

use super::{
    AcceptanceTimes, AttemptCount, DOMAINS_MAX, DomainOutcome, OtherDomains, REPLIES_MAX,
    RunReport, Timeline, TimelinePoint,
};
use crate::platform::db::{Tx, dialect, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{RunId, UserId};
use crate::platform::time::Timestamp;
use crate::sending::attempt::{Attempt, AttemptOutcome, of_run, unsuccessful_of_run};
use crate::sending::run::Run;

/// Attempts of a run per slot of `$3` ms.
macro_rules! slots_sql {
    ($db:ident) => {
        concat!(
            "SELECT at / $3 AS slot, count(*) FROM ",
            of_run!($db),
            " GROUP BY at / $3"
        )
    };
}

/// Attempts that were not accepted, per slot and outcome.
macro_rules! unsuccessful_sql {
    ($db:ident) => {
        concat!(
            "SELECT at / $3 AS slot, outcome, count(*) FROM ",
            unsuccessful_of_run!($db),
            " GROUP BY at / $3, outcome"
        )
    };
}

/// Deliveries of a run per domain. `$1` owner, `$2` run, `$3` start of the run, `$4` maximum rows.
macro_rules! domains_sql {
    ($find:literal) => {
        concat!(
            "WITH by_domain AS (
                 SELECT substr(email_key, ",
            $find,
            "(email_key, '@') + 1) AS domain, count(*) AS planned,
                        count(*) FILTER (WHERE state = 'sent') AS sent,
                        count(*) FILTER (WHERE done_at IS NULL AND attempts > 0) AS deferred,
                        count(*) FILTER (WHERE state = 'failed') AS failed,
                        count(*) FILTER (WHERE state IN ('skipped', 'expired', 'cancelled')) AS other,
                        CAST(coalesce(sum(CASE WHEN state = 'sent' THEN done_at - $3 ELSE 0 END), 0) AS BIGINT) AS time_ms
                 FROM deliveries
                 WHERE owner_id = $1 AND run_id = $2
                 GROUP BY 1)
             SELECT domain, planned, sent, deferred, failed, other, time_ms, count(*) OVER () AS domains,
                    CAST(sum(planned) OVER () AS BIGINT) AS all_planned, CAST(sum(sent) OVER () AS BIGINT) AS all_sent,
                    CAST(sum(deferred) OVER () AS BIGINT) AS all_deferred,
                    CAST(sum(failed) OVER () AS BIGINT) AS all_failed, CAST(sum(other) OVER () AS BIGINT) AS all_other,
                    CAST(sum(time_ms) OVER () AS BIGINT) AS all_time_ms
             FROM by_domain
             ORDER BY planned DESC, domain
             LIMIT $4"
        )
    };
}

#[derive(sqlx::FromRow)]
struct DomainRow {
    domain: String,
    #[sqlx(flatten)]
    own: Sums,
    domains: i64,
    all_planned: i64,
    all_sent: i64,
    all_deferred: i64,
    all_failed: i64,
    all_other: i64,
    all_time_ms: i64,
}

#[derive(Clone, Copy, Default, sqlx::FromRow)]
struct Sums {
    planned: i64,
    sent: i64,
    deferred: i64,
    failed: i64,
    other: i64,
    time_ms: i64,
}

impl Sums {
    fn named(self, domain: String) -> DomainOutcome {
        DomainOutcome {
            domain,
            planned: self.planned,
            sent: self.sent,
            deferred: self.deferred,
            failed: self.failed,
            other: self.other,
            average_ms: (self.sent > 0).then(|| (self.time_ms / self.sent).max(0)),
        }
    }
}

impl std::ops::Sub for Sums {
    type Output = Self;

    fn sub(self, less: Self) -> Self {
        Self {
            planned: self.planned - less.planned,
            sent: self.sent - less.sent,
            deferred: self.deferred - less.deferred,
            failed: self.failed - less.failed,
            other: self.other - less.other,
            time_ms: self.time_ms - less.time_ms,
        }
    }
}

impl std::ops::Add for Sums {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        self - (Self::default() - more)
    }
}

impl RunReport {
    /// Counts a run as it is in this transaction, which must read from one snapshot. `None` when
    /// there is no such run.
    pub async fn count(
        tx: &mut Tx,
        owner: UserId,
        run: RunId,
        now: Timestamp,
    ) -> Result<Option<Self>, Error> {
        let Some(run) = Run::get(tx, owner, run).await? else {
            return Ok(None);
        };
        let (first, last): (Option<i64>, Option<i64>) = on_db!(tx, conn => sqlx::query_as(
            "SELECT (SELECT at FROM attempts WHERE run_id = $1 ORDER BY at LIMIT 1),
                    (SELECT at FROM attempts WHERE run_id = $1 ORDER BY at DESC LIMIT 1)",
        )
        .bind(run.id)
        .fetch_one(conn)
        .await)?;
        let begun = run.started_at.unwrap_or(run.created_at).millis();
        let begun = first.map_or(begun, |first| begun.min(first));
        let slot = Timeline::slot_for(last.unwrap_or(begun) - begun);
        let (domains, others) = domains(tx, &run, begun).await?;
        Ok(Some(Self {
            made_at: now,
            last: run.is_over(),
            begun_at: Timestamp::from_millis(begun),
            totals: run.totals(),
            timeline: timeline(tx, &run, slot).await?,
            tries: tries(tx, &run).await?,
            times: times(tx, &run, begun).await?,
            domains,
            others,
            replies: Attempt::groups(tx, owner, run.id, REPLIES_MAX).await?,
        }))
    }
}

/// Counts attempts from indexes: all per slot, and those not accepted per outcome. The rest was
/// sent.
async fn timeline(tx: &mut Tx, run: &Run, slot: i64) -> Result<Timeline, Error> {
    let (all, unsuccessful) = (dialect!(tx, slots_sql), dialect!(tx, unsuccessful_sql));
    let all: Vec<(i64, i64)> = on_db!(tx, conn => sqlx::query_as(all)
        .bind(run.owner_id)
        .bind(run.id)
        .bind(slot)
        .fetch_all(conn)
        .await)?;
    let unsuccessful: Vec<(i64, String, i64)> = on_db!(tx, conn => sqlx::query_as(unsuccessful)
        .bind(run.owner_id)
        .bind(run.id)
        .bind(slot)
        .fetch_all(conn)
        .await)?;
    let mut points: BTreeMap<i64, TimelinePoint> = BTreeMap::new();
    let mut add = |n: i64, outcome, count| {
        let point = points.entry(n).or_insert(TimelinePoint::new(n * slot));
        point.add(outcome, count);
    };
    for (n, count) in all {
        add(n, AttemptOutcome::Sent, count);
    }
    for (n, outcome, count) in unsuccessful {
        let outcome = AttemptOutcome::try_from(outcome).map_err(Error::Internal)?;
        add(n, outcome, count);
        add(n, AttemptOutcome::Sent, -count);
    }
    Ok(Timeline {
        slot_ms: slot,
        points: points.into_values().collect(),
    })
}

async fn tries(tx: &mut Tx, run: &Run) -> Result<Vec<AttemptCount>, Error> {
    Ok(on_db!(tx, conn => sqlx::query_as(
        "SELECT attempts, count(*) AS letters, count(*) FILTER (WHERE state = 'sent') AS sent
         FROM deliveries
         WHERE owner_id = $1 AND run_id = $2
         GROUP BY attempts
         ORDER BY attempts",
    )
    .bind(run.owner_id)
    .bind(run.id)
    .fetch_all(conn)
    .await)?)
}

async fn times(tx: &mut Tx, run: &Run, begun: i64) -> Result<Option<AcceptanceTimes>, Error> {
    if run.sent == 0 {
        return Ok(None);
    }
    // rank of the letter with which this percentage is reached
    let nth = |hundredths: i64| (run.sent * hundredths + 99) / 100;
    let ranks = [nth(50), nth(90), nth(99), run.sent];
    let found: Vec<(i64, i64)> = on_db!(tx, conn => sqlx::query_as(
        "SELECT nth, done_at
         FROM (SELECT done_at, row_number() OVER (ORDER BY done_at) AS nth
               FROM deliveries
               WHERE owner_id = $1 AND run_id = $2 AND state = 'sent') AS ranked
         WHERE nth IN ($3, $4, $5, $6)",
    )
    .bind(run.owner_id)
    .bind(run.id)
    .bind(ranks[0])
    .bind(ranks[1])
    .bind(ranks[2])
    .bind(ranks[3])
    .fetch_all(conn)
    .await)?;
    let [half, most, nearly_all, all] = ranks.map(|rank| {
        let at = found.iter().find(|(nth, _)| *nth == rank);
        at.map_or(0, |(_, at)| (at - begun).max(0))
    });
    Ok(Some(AcceptanceTimes {
        half,
        most,
        nearly_all,
        all,
    }))
}

async fn domains(
    tx: &mut Tx,
    run: &Run,
    begun: i64,
) -> Result<(Vec<DomainOutcome>, Option<OtherDomains>), Error> {
    let sql = match tx {
        Tx::Sqlite(_) => domains_sql!("instr"),
        Tx::Postgres(_) => domains_sql!("strpos"),
    };
    let rows: Vec<DomainRow> = on_db!(tx, conn => sqlx::query_as(sql)
        .bind(run.owner_id)
        .bind(run.id)
        .bind(begun)
        .bind(i64::try_from(DOMAINS_MAX).unwrap_or(i64::MAX))
        .fetch_all(conn)
        .await)?;
    let Some(first) = rows.first() else {
        return Ok((Vec::new(), None));
    };
    let all = Sums {
        planned: first.all_planned,
        sent: first.all_sent,
        deferred: first.all_deferred,
        failed: first.all_failed,
        other: first.all_other,
        time_ms: first.all_time_ms,
    };
    let unnamed = first.domains - i64::try_from(rows.len()).unwrap_or(i64::MAX);
    let named = rows.iter().fold(Sums::default(), |sum, row| sum + row.own);
    let others = (unnamed > 0).then(|| OtherDomains {
        domains: unnamed,
        letters: (all - named).named(String::new()),
    });
    let domains = rows.into_iter().map(|row| row.own.named(row.domain));
    Ok((domains.collect(), others))
}
