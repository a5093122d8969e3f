//! `skychimp log`.

use skychimp_core::platform::ids::MailingId;
use skychimp_core::sending::attempt::{
    Attempt, AttemptFilter, AttemptOutcome, AttemptsOf, LogOrder,
};
use skychimp_core::sending::delivery::DeliveryState;

use crate::exit::Exit;
use crate::out;
use crate::program::Program;

/// Attempts per page, so that an export of millions never has to fit in memory.
const PAGE: usize = 1_000;

/// List every attempt of a mailing, oldest first: time, recipient, the server's reply.
#[derive(Debug, clap::Args)]
pub struct Log {
    /// ID of the mailing.
    #[arg(value_name = "MAILING")]
    id: MailingId,

    /// Only deliveries now in this state: sent, deferred, failed, skipped, expired, cancelled,
    /// queued.
    #[arg(long, value_parser = state)]
    state: Option<DeliveryState>,

    /// Only attempts with this outcome: sent, deferred, failed, in_doubt.
    #[arg(long, value_parser = outcome)]
    outcome: Option<AttemptOutcome>,

    /// Output format. --json is the same as --format json.
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Comma-separated values with a header.
    Csv,
    /// An array of objects.
    Json,
}

impl Log {
    /// Writes the attempts to stdout, page by page.
    pub async fn run(self, program: &Program) -> anyhow::Result<Exit> {
        let db = program.database().await?;
        let owner = program.owner_of(&db, self.id).await?;
        let filter = AttemptFilter {
            state: self.state,
            outcome: self.outcome,
            ..AttemptFilter::all(AttemptsOf::Mailing(self.id))
        };
        let json = program.json || self.format == Format::Json;
        let mut sheet = Sheet::begin(json)?;
        let mut after = None;
        loop {
            // one transaction per page: a slow reader of stdout must not keep one open
            let mut tx = db.read().await?;
            let page =
                Attempt::page(&mut tx, owner, &filter, LogOrder::Oldest, after, PAGE).await?;
            drop(tx);
            sheet.write(&page)?;
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(last.cursor()),
                _ => break,
            }
        }
        sheet.end()?;
        db.close().await;
        Ok(Exit::Done)
    }
}

/// Writes attempts to stdout as one CSV table or one JSON array.
struct Sheet {
    json: bool,
    any: bool,
}

impl Sheet {
    fn begin(json: bool) -> anyhow::Result<Self> {
        if json {
            out::write("[")?;
        } else {
            out::line(&Attempt::COLUMNS.join(","))?;
        }
        Ok(Self { json, any: false })
    }

    fn write(&mut self, page: &[Attempt]) -> anyhow::Result<()> {
        if !self.json {
            let mut rows = csv::Writer::from_writer(Vec::new());
            for attempt in page {
                rows.write_record(attempt.cells())?;
            }
            let bytes = rows.into_inner().map_err(csv::IntoInnerError::into_error)?;
            return out::bytes(&bytes);
        }
        let mut text = String::new();
        for attempt in page {
            text.push_str(if self.any { ",\n" } else { "\n" });
            text.push_str(&serde_json::to_string(attempt)?);
            self.any = true;
        }
        out::write(&text)
    }

    fn end(self) -> anyhow::Result<()> {
        if self.json {
            out::line(if self.any { "\n]" } else { "]" })?;
        }
        Ok(())
    }
}

fn state(text: &str) -> Result<DeliveryState, &'static str> {
    text.parse().map_err(|()| "it is no state of a delivery")
}

fn outcome(text: &str) -> Result<AttemptOutcome, &'static str> {
    text.parse()
        .map_err(|()| "it is none of sent, deferred, failed, in_doubt")
}
