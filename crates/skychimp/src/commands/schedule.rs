//! `skychimp schedule`.

use skychimp_core::sending::schedule::{Every, Schedule};

use crate::exit::{Exit, WrongUse};
use crate::out;

/// Show the moments that a schedule gives, the start first.
///
/// Needs neither configuration nor database. Prints JSON with --json and when stdout is not a terminal.
#[derive(Debug, clap::Args)]
pub struct ScheduleCommand {
    /// RFC 3339 with an offset, or a wall time in the zone: 2027-01-31T10:00
    #[arg(long, value_name = "T")]
    start: String,

    /// once, day, week or month
    #[arg(long, value_name = "PERIOD", value_parser = super::every)]
    every: Every,

    /// Nothing is due from here on.
    #[arg(long, value_name = "T")]
    end: Option<String>,

    /// IANA name of the time zone, like Europe/Moscow.
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    zone: String,

    /// How many moments.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    count: u16,
}

impl ScheduleCommand {
    /// Runs it.
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
