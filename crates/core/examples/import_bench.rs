//! `import_bench URL N`: imports N recipients into an empty database, then the same file again,
//! then a file in which every second row changed. Prints rows per second of each; the target is 50
//! 000 (R8).
#![allow(clippy::print_stdout, clippy::cast_precision_loss)]

use std::fmt::Write as _;
use std::io::Cursor;
use std::time::Instant;

use skychimp_core::accounts::password::HashedPassword;
use skychimp_core::accounts::user::{NewUser, Role, User};
use skychimp_core::platform::db::Db;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::time::Clock;
use skychimp_core::recipients::import::{self, Hints, ImportOptions};
use skychimp_core::recipients::list::List;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let usage = "usage: import_bench URL N";
    let url = std::env::args().nth(1).ok_or(usage)?;
    let n: usize = std::env::args().nth(2).ok_or(usage)?.parse()?;
    let db = Db::connect(&url).await?;
    db.migrate().await?;
    let clock = Clock::system();
    let mut tx = db.write().await?;
    let new = NewUser {
        email: &format!("bench{}@example.org", clock.now().millis()),
        name: "bench",
        role: Role::User,
        verified: true,
        zone: "UTC",
    };
    let password = HashedPassword::new("correct horse bench")?;
    let owner = User::create(&mut tx, &new, &password, clock.now()).await?;
    let list = List::find_or_create(&mut tx, owner, "bench", clock.now()).await?;
    tx.commit().await?;
    for (what, changed, list) in [
        ("fresh", false, None),
        ("again", false, None),
        ("half changed", true, None),
        ("again, into a list", true, Some(list)),
        ("again, in the list", true, Some(list)),
    ] {
        let file = file(n, changed)?;
        let bytes = file.len();
        let preview = import::inspect(&file[..], Hints::default())?;
        let options = ImportOptions {
            format: preview.format,
            mapping: preview.mapping(),
            list,
        };
        let began = Instant::now();
        let outcome = import::run(
            &db,
            owner,
            Cursor::new(file),
            &options,
            None,
            &clock,
            |_| {},
            &CancellationToken::new(),
        )
        .await?;
        let seconds = began.elapsed().as_secs_f64();
        println!(
            "{} {what}: {n} rows, {:.0} MB in {seconds:.2} s = {:.0} rows/s {:?}",
            db.kind(),
            bytes as f64 / 1e6,
            n as f64 / seconds,
            outcome.groups
        );
    }
    Ok(())
}

/// Addresses in random order, as in real files.
fn file(n: usize, changed: bool) -> Result<Vec<u8>, Error> {
    let mut text = String::from("email,ФИО,город,сумма,комментарий\n");
    for i in 0..n {
        let mixed = (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let sum = if changed && i % 2 == 0 { i + 1 } else { i };
        writeln!(
            text,
            "{mixed:016x}@mail{}.example.org,Иванов Иван {i},Москва,{sum},\"из магазина, {i}\"",
            i % 50
        )
        .map_err(|error| Error::Internal(error.to_string()))?;
    }
    Ok(text.into_bytes())
}
