# Texts of the overview's last weeks and next ones.
dash-attention = Needs your attention
dash-attention-waiting = { $count ->
    [one] { $count } letter is waiting for the mail server
   *[other] { $count } letters are waiting for the mail server
}
dash-attention-disabled = Switched off by a manager
dash-attention-skipped = { $count ->
    [one] { $count } date missed
   *[other] { $count } dates missed
}
dash-attention-failed = { $count ->
    [one] { $count } letter failed
   *[other] { $count } letters failed
}
dash-attention-in-doubt = { $count ->
    [one] { $count } letter in doubt: someone may have received it twice
   *[other] { $count } letters in doubt: someone may have received one twice
}
dash-days = Letters in the last 30 days
dash-days-sum = { $sent } sent, { $failed } failed
dash-day = Day
dash-week = Week of
dash-calendar = Coming up
dash-calendar-empty = Nothing is scheduled for the next few weeks.
dash-more = and { $count } more
dash-growth = New recipients by week
dash-added = Added
dash-suppressed = { $count ->
    [one] { $count } suppressed address
   *[other] { $count } suppressed addresses
}
dash-suppressed-lately = { $count } of them in the last 30 days
