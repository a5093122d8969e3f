use proptest::prelude::*;

use super::*;

fn schedule(start: &str, zone: &str, every: Frequency) -> Schedule {
    Schedule::new(start, zone, every, None).unwrap()
}

fn first(start: &str, zone: &str, every: Frequency, n: usize) -> Vec<String> {
    let schedule = schedule(start, zone, every);
    schedule
        .upcoming(None, n)
        .into_iter()
        .map(|m| schedule.rfc3339(m))
        .collect()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// R10: the 31st becomes the last day of a short month and comes back in the next long one.
#[test]
fn month_ends_come_from_the_anchor() {
    assert_eq!(
        first("2027-01-31T10:00", "Europe/Moscow", Frequency::Month, 5),
        [
            "2027-01-31T10:00:00+03:00",
            "2027-02-28T10:00:00+03:00",
            "2027-03-31T10:00:00+03:00",
            "2027-04-30T10:00:00+03:00",
            "2027-05-31T10:00:00+03:00",
        ]
    );
    // leap years, and a century year that is not one
    assert_eq!(
        first("2028-01-30T10:00", "UTC", Frequency::Month, 2)[1],
        "2028-02-29T10:00:00+00:00"
    );
    assert_eq!(
        first("2100-01-29T10:00", "UTC", Frequency::Month, 3)[1..],
        ["2100-02-28T10:00:00+00:00", "2100-03-29T10:00:00+00:00"]
    );
    assert_eq!(
        first("2028-02-29T10:00", "UTC", Frequency::Month, 13)[12],
        "2029-02-28T10:00:00+00:00"
    );
}

/// R10: a wall time that does not exist moves to the first moment after the gap, on that day only.
#[test]
fn gap_goes_to_the_first_moment_after() {
    assert_eq!(
        first("2027-03-27T02:30", "Europe/Berlin", Frequency::Day, 3),
        [
            "2027-03-27T02:30:00+01:00",
            "2027-03-28T03:00:00+02:00",
            "2027-03-29T02:30:00+02:00",
        ]
    );
    // the start itself
    assert_eq!(
        first("2027-03-28T02:30", "Europe/Berlin", Frequency::Day, 2),
        ["2027-03-28T03:00:00+02:00", "2027-03-29T02:30:00+02:00"]
    );
    // a gap of half an hour
    assert_eq!(
        first("2026-10-03T02:15", "Australia/Lord_Howe", Frequency::Day, 3),
        [
            "2026-10-03T02:15:00+10:30",
            "2026-10-04T02:30:00+11:00",
            "2026-10-05T02:15:00+11:00",
        ]
    );
    // a gap at midnight
    assert_eq!(
        first("2027-03-27T00:00", "Asia/Beirut", Frequency::Day, 3),
        [
            "2027-03-27T00:00:00+02:00",
            "2027-03-28T01:00:00+03:00",
            "2027-03-29T00:00:00+03:00",
        ]
    );
    assert_eq!(
        first("2018-11-03T00:00", "America/Sao_Paulo", Frequency::Day, 3),
        [
            "2018-11-03T00:00:00-03:00",
            "2018-11-04T01:00:00-02:00",
            "2018-11-05T00:00:00-02:00",
        ]
    );
}

/// R10: a wall time that exists twice is due once, the first time.
#[test]
fn overlap_is_due_once() {
    assert_eq!(
        first("2026-10-24T02:30", "Europe/Berlin", Frequency::Day, 3),
        [
            "2026-10-24T02:30:00+02:00",
            "2026-10-25T02:30:00+02:00",
            "2026-10-26T02:30:00+01:00",
        ]
    );
    assert_eq!(
        first("2026-10-25T02:30", "Europe/Berlin", Frequency::Day, 2),
        ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]
    );
}

#[test]
fn start_with_the_second_offset_is_that_moment() {
    assert_eq!(
        first(
            "2026-10-25T02:30:00+01:00",
            "Europe/Berlin",
            Frequency::Day,
            2
        ),
        ["2026-10-25T02:30:00+01:00", "2026-10-26T02:30:00+01:00"]
    );
    assert_eq!(
        first(
            "2025-10-26T02:30:00+01:00",
            "Europe/Berlin",
            Frequency::Week,
            54
        )[53],
        "2026-11-01T02:30:00+01:00"
    );
}

/// Due times that coincide because a zone skipped a whole day are one.
#[test]
fn skipped_day_is_due_once_with_the_next() {
    assert_eq!(
        first("2011-12-29T10:00", "Pacific/Apia", Frequency::Day, 4),
        [
            "2011-12-29T10:00:00-10:00",
            "2011-12-31T00:00:00+14:00",
            "2011-12-31T10:00:00+14:00",
            "2012-01-01T10:00:00+14:00",
        ]
    );
    assert_eq!(
        first("2011-12-29T00:00", "Pacific/Apia", Frequency::Day, 3),
        [
            "2011-12-29T00:00:00-10:00",
            "2011-12-31T00:00:00+14:00",
            "2012-01-01T00:00:00+14:00",
        ]
    );
}

#[test]
fn start_in_another_offset_repeats_at_the_zones_wall_time() {
    assert_eq!(
        first("2027-03-27T09:00:00Z", "Europe/Berlin", Frequency::Day, 2),
        ["2027-03-27T10:00:00+01:00", "2027-03-28T10:00:00+02:00"]
    );
}

#[test]
fn week_keeps_the_day_of_the_week() {
    assert_eq!(
        first("2027-10-25T10:00", "Europe/Berlin", Frequency::Week, 3),
        [
            "2027-10-25T10:00:00+02:00",
            "2027-11-01T10:00:00+01:00",
            "2027-11-08T10:00:00+01:00",
        ]
    );
}

/// R20: the end is not a due time.
#[test]
fn end_is_exclusive() {
    let schedule = Schedule::new(
        "2027-01-01T10:00",
        "Europe/Moscow",
        Frequency::Day,
        Some("2027-01-03T10:00:00+03:00"),
    )
    .unwrap();
    let all = schedule.upcoming(None, 10);
    assert_eq!(
        all,
        [at("2027-01-01T07:00:00Z"), at("2027-01-02T07:00:00Z")]
    );
    assert_eq!(schedule.next(Some(all[1])), None);
    assert_eq!(schedule.latest(at("2030-01-01T00:00:00Z")), Some(all[1]));
    assert_eq!(schedule.end(), Some(at("2027-01-03T07:00:00Z")));
}

#[test]
fn once_is_due_at_the_start_only() {
    let schedule = schedule("2027-01-01T10:00:05", "Europe/Moscow", Frequency::Once);
    let start = at("2027-01-01T07:00:05Z");
    assert_eq!(schedule.upcoming(None, 3), [start]);
    assert_eq!(
        schedule.next(Some(start - std::time::Duration::from_millis(1))),
        Some(start)
    );
    assert_eq!(schedule.next(Some(start)), None);
    assert_eq!(schedule.latest(at("2028-01-01T00:00:00Z")), Some(start));
    assert_eq!(schedule.latest(at("2026-01-01T00:00:00Z")), None);
}

/// R21: after a downtime, exactly the due times within it are reported as missed.
#[test]
fn missed_moments_lie_in_the_window() {
    let schedule = schedule("2027-01-01T10:00", "UTC", Frequency::Day);
    let missed: Vec<_> = schedule
        .missed(at("2027-01-05T10:00:00Z"), at("2027-01-07T10:00:00Z"))
        .collect();
    assert_eq!(
        missed,
        [
            at("2027-01-05T10:00:00Z"),
            at("2027-01-06T10:00:00Z"),
            at("2027-01-07T10:00:00Z")
        ]
    );
    assert_eq!(
        schedule
            .missed(at("2026-01-05T10:00:00Z"), at("2027-01-01T09:59:59Z"))
            .count(),
        0
    );
}

#[test]
fn wrong_input_names_its_field() {
    let new = |start, zone, end| {
        Schedule::new(start, zone, Frequency::Day, end)
            .map(|s| s.anchor())
            .unwrap_err()
    };
    for start in [
        "",
        "tomorrow",
        "2027-01-31",
        "2027-02-30T10:00",
        "2027-01-31T25:00",
        "2027-01-31T10:00+99:00",
        "2027-01-31T10:00[Europe/Moscow]",
        "2027-01-31T10:00:00Z[Europe/Moscow]",
        "0027-01-31T10:00",
        "9027-01-31T10:00:00Z",
        "２０27-01-31T10:00",
    ] {
        assert_eq!(new(start, "UTC", None), ScheduleError::Start, "{start}");
    }
    assert_eq!(
        new("2027-01-31T10:00", "Mars/Base", None),
        ScheduleError::Zone
    );
    assert_eq!(
        new("2027-01-31T10:00", "UTC", Some("never")),
        ScheduleError::End
    );
    assert_eq!(
        new("2027-01-31T10:00", "UTC", Some("2027-01-31T10:00")),
        ScheduleError::EndBeforeStart
    );
    assert_eq!("year".parse::<Frequency>(), Err(ScheduleError::Every));
}

#[test]
fn all_forms_of_input_are_read() {
    for start in [
        "2027-01-31T10:00",
        "2027-01-31 10:00",
        "2027-01-31T10:00:00",
        "2027-01-31T10:00:00.000",
        " 2027-01-31T10:00:00+03:00 ",
        "2027-01-31T10:00+03:00",
        "2027-01-31T07:00:00Z",
        "2027-01-31t07:00:00z",
        "2027-01-30T23:00:00-08:00",
    ] {
        let schedule = schedule(start, "europe/moscow", Frequency::Month);
        assert_eq!(schedule.start(), at("2027-01-31T07:00:00Z"), "{start}");
        assert_eq!(schedule.anchor(), "2027-01-31T10:00:00");
        assert_eq!(schedule.zone(), "Europe/Moscow");
    }
}

#[test]
fn zones_are_those_of_the_program() {
    let names = zone_names();
    assert!(names.len() > 400, "{}", names.len());
    for name in ["UTC", "Europe/Moscow", "Asia/Kolkata", "Pacific/Apia"] {
        assert!(names.iter().any(|n| n == name), "{name}");
    }
    for name in names {
        zone(&name).unwrap();
    }
}

fn any_zone() -> impl Strategy<Value = String> {
    proptest::sample::select(zone_names())
}

fn any_every() -> impl Strategy<Value = Frequency> {
    proptest::sample::select(vec![Frequency::Day, Frequency::Week, Frequency::Month])
}

/// Starts from 1970 to 2099 in steps of a quarter of an hour, so that clock changes are hit often.
fn any_start() -> impl Strategy<Value = Timestamp> {
    // from the second day of 1970: west of Greenwich the first day begins in 1969, which no form
    // accepts
    (96_i64..4_555_000).prop_map(|quarters| Timestamp::from_millis(quarters * 900_000 + 7))
}

fn wall(schedule: &Schedule, moment: Timestamp) -> DateTime {
    schedule.zone.to_datetime(moment.timestamp())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// R10: due times strictly increase, none is lost or doubled, and each has the anchor's wall
    /// time unless its day has none.
    #[test]
    fn each_period_is_due_exactly_once(start in any_start(), zone in any_zone(), every in any_every(), skip in 0_i64..600) {
        let schedule = Schedule::starting(start, &zone, every, None).unwrap();
        let from = schedule.repetition(skip.max(1)).unwrap();
        let moments = schedule.upcoming(Some(from), 40);
        prop_assert_eq!(moments.len(), 40);
        let mut last = from;
        let mut n = skip.max(1);
        for moment in moments {
            prop_assert!(moment > last);
            n += 1;
            // the day that Samoa and its neighbours skipped coincides with the next
            while schedule.repetition(n) == Some(last) {
                n += 1;
            }
            prop_assert_eq!(schedule.repetition(n), Some(moment));
            let due = schedule.anchor.checked_add(every.times(n).unwrap()).unwrap();
            let seen = wall(&schedule, moment);
            if seen != due {
                // only in a gap, and then exactly at its end
                prop_assert!(seen > due);
                prop_assert!(schedule.zone.to_ambiguous_timestamp(due).is_ambiguous());
                let before = Timestamp::from_millis(moment.millis() - 1);
                prop_assert!(wall(&schedule, before) < due);
            }
            last = moment;
        }
    }

    #[test]
    fn next_agrees_with_upcoming_missed_and_latest(start in any_start(), zone in any_zone(), every in any_every(), days in 0_i64..2_000) {
        let schedule = Schedule::starting(start, &zone, every, None).unwrap();
        let after = Timestamp::from_millis(start.millis() + days * 86_400_000 + 12_345);
        let upcoming = schedule.upcoming(Some(after), 5);
        prop_assert!(upcoming[0] > after);
        let mut one_by_one = after;
        for moment in &upcoming {
            one_by_one = schedule.next(Some(one_by_one)).unwrap();
            prop_assert_eq!(one_by_one, *moment);
        }
        let missed: Vec<_> = schedule.missed(upcoming[0], upcoming[3]).collect();
        prop_assert_eq!(&missed[..], &upcoming[..4]);
        prop_assert_eq!(schedule.latest(upcoming[3]), Some(upcoming[3]));
        let before = Timestamp::from_millis(upcoming[0].millis() - 1);
        let latest = schedule.latest(before).unwrap();
        prop_assert!(latest <= after);
        prop_assert_eq!(schedule.next(Some(latest)), Some(upcoming[0]));
    }

    #[test]
    fn next_is_the_same_as_walking_from_the_start(start in any_start(), zone in any_zone(), every in any_every(), n in 1_usize..80) {
        let schedule = Schedule::starting(start, &zone, every, None).unwrap();
        let walked = schedule.upcoming(None, n + 1);
        prop_assert_eq!(walked[0], start);
        prop_assert_eq!(schedule.next(Some(walked[n - 1])), Some(walked[n]));
        prop_assert_eq!(schedule.next(Some(Timestamp::from_millis(walked[n].millis() - 1))), Some(walked[n]));
    }

    #[test]
    fn stored_schedule_is_the_same(start in any_start(), zone in any_zone(), every in any_every()) {
        let schedule = Schedule::starting(start, &zone, every, None).unwrap();
        let stored = Schedule::stored(schedule.start(), &schedule.anchor(), schedule.zone(), every, None).unwrap();
        prop_assert_eq!(stored.upcoming(None, 5), schedule.upcoming(None, 5));
        prop_assert_eq!(stored, schedule);
    }

    #[test]
    fn no_text_panics(start in "\\PC{0,30}|[0-9T:+Z -]{10,26}", zone in "\\PC{0,20}", every in any_every()) {
        let _ = Schedule::new(&start, &zone, every, Some(&start));
        let _ = Schedule::new(&start, "Europe/Berlin", every, None);
    }
}
