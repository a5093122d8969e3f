//! `skychimp schedule`.

use skychimp_core::sending::schedule::{Frequency, Schedule};

use crate::exit::{Exit, WrongUse};
use crate::out;

/// Show the due times of a schedule, starting with the first.
///
/// Needs neither configuration nor database. Prints JSON with --json or if stdout is not a
/// terminal.
#[derive(Debug, clap::Args)]
pub struct ScheduleCommand {
    /// First due time, RFC 3339 with an offset or local time in the zone: 2027-01-31T10:00
    #[arg(long, value_name = "T")]
    start: String,

    /// How often: once, day, week or month.
    #[arg(long, value_name = "PERIOD", value_parser = super::every)]
    every: Frequency,

    /// Nothing is due at or after this time.
    #[arg(long, value_name = "T")]
    end: Option<String>,

    /// IANA time zone, for example Europe/Moscow.
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    zone: String,

    /// Number of due times to show.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    count: u16,
}

impl ScheduleCommand {
    /// Prints the due times. An invalid schedule is a [`WrongUse`] that names the flag.
    pub fn run(&self, json: bool) -> anyhow::Result<Exit> {
        let schedule = Schedule::new(&self.start, &self.zone, self.every, self.end.as_deref())
            .map_err(|error| WrongUse(format!("--{}: {error}", error.field())))?;
        let moments: Vec<_> = schedule
            .upcoming(None, usize::from(self.count))
            .into_iter()
            .map(|moment| schedule.rfc3339(moment))
            .collect();
        if json || !out::is_terminal() {
            out::json(&moments)?;
        } else {
            for moment in moments {
                out::line(&moment)?;
            }
        }
        Ok(Exit::Done)
    }
}
