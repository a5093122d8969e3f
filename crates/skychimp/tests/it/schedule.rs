use serde_json::json;

use crate::support::{Ended, bare, ended};

fn schedule(arguments: &[&str]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let mut all = vec!["schedule"];
    all.extend(arguments);
    ended(bare(folder.path(), &all), "")
}

/// R10: a monthly schedule that starts on the 31st uses the last day of shorter months and then
/// returns to the 31st.
#[test]
fn months_keep_their_last_day() {
    let moments = schedule(&[
        "--start",
        "2027-01-31T10:00",
        "--every",
        "month",
        "--zone",
        "Europe/Moscow",
    ]);
    assert_eq!(
        moments.done().json(),
        json!([
            "2027-01-31T10:00:00+03:00",
            "2027-02-28T10:00:00+03:00",
            "2027-03-31T10:00:00+03:00",
            "2027-04-30T10:00:00+03:00",
            "2027-05-31T10:00:00+03:00"
        ])
    );
}

/// R10: local time stays the same when clocks change. A time that does not exist moves to the first
/// that does.
#[test]
fn days_follow_the_wall_clock() {
    let moments = schedule(&[
        "--start",
        "2027-03-27T02:30",
        "--every",
        "day",
        "--zone",
        "Europe/Berlin",
        "--count",
        "3",
        "--json",
    ]);
    assert_eq!(
        moments.done().json(),
        json!([
            "2027-03-27T02:30:00+01:00",
            "2027-03-28T03:00:00+02:00",
            "2027-03-29T02:30:00+02:00"
        ])
    );
}

/// R9, R20: a start with an offset is converted to the zone, and nothing is due at or after the
/// end.
#[test]
fn the_end_is_the_end() {
    let moments = schedule(&[
        "--start",
        "2027-01-01T07:00:00Z",
        "--every",
        "week",
        "--zone",
        "Asia/Tokyo",
        "--end",
        "2027-01-15T16:00",
    ]);
    assert_eq!(
        moments.done().json(),
        json!(["2027-01-01T16:00:00+09:00", "2027-01-08T16:00:00+09:00"])
    );
}

/// R10: wrong usage exits with 2 and names the flag. An invalid configuration does not matter to
/// this command.
#[test]
fn wrong_schedules_are_refused() {
    let wrong = |arguments: &[&str]| schedule(arguments).with_code(2).stderr;
    assert!(wrong(&["--start", "tomorrow", "--every", "day"]).contains("--start"));
    assert!(wrong(&["--start", "2027-01-01T00:00", "--every", "fortnight"]).contains("--every"));
    assert!(
        wrong(&[
            "--start",
            "2027-01-01T00:00",
            "--every",
            "day",
            "--zone",
            "Mars/Base"
        ])
        .contains("--zone")
    );
    assert!(
        wrong(&[
            "--start",
            "2027-01-01T00:00",
            "--every",
            "day",
            "--end",
            "2026-01-01T00:00"
        ])
        .contains("--end")
    );
    let folder = tempfile::tempdir().unwrap();
    let mut command = bare(
        folder.path(),
        &["schedule", "--start", "2027-01-01T00:00", "--every", "once"],
    );
    command.env("SKYCHIMP_NONSENSE", "1");
    assert_eq!(
        ended(command, "").done().json(),
        json!(["2027-01-01T00:00:00+00:00"])
    );
}
