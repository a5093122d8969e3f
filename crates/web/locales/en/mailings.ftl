# Sentences of the pages of mailings.
mailings-title = Mailings
mailings-new = New mailing
mailings-empty = No mailings yet
mailings-empty-text = A mailing takes a message to recipients: at once, at a moment you choose, or again and again.
mailings-search = Search by name
mailings-filter = By state
mailings-all = All
mailings-chosen = Chosen:
mailings-chosen-actions = With the chosen mailings
mailings-none-chosen = Choose mailings first.
mailings-cancel = Cancel
mailings-cancel-question = Cancel the chosen mailings for good? Letters that have not left yet will not be sent.
mailings-cancel-ok = Cancel mailings
mailings-delete = Delete…
mailings-delete-title = Delete mailings
mailings-delete-text = { $count ->
    [one] { $count } mailing will be deleted for good:
   *[other] { $count } mailings will be deleted for good:
}
mailings-delete-with = With that goes:
mailings-delete-rest = Recipients, lists and messages stay.
mailings-delete-stay = { $count ->
    [one] This mailing runs or is paused and stays. To delete it, cancel it first:
   *[other] These { $count } mailings run or are paused and stay. To delete them, cancel them first:
}
mailings-paused = { $count ->
    [0] Nothing to pause.
    [one] { $count } mailing paused.
   *[other] { $count } mailings paused.
} { $refused ->
    [0] { "" }
    [one] { $refused } does not run.
   *[other] { $refused } do not run.
}
mailings-resumed = { $count ->
    [0] Nothing to resume.
    [one] { $count } mailing goes on.
   *[other] { $count } mailings go on.
} { $refused ->
    [0] { "" }
    [one] { $refused } is not paused.
   *[other] { $refused } are not paused.
}
mailings-cancelled = { $count ->
    [0] Nothing to cancel.
    [one] { $count } mailing cancelled.
   *[other] { $count } mailings cancelled.
} { $refused ->
    [0] { "" }
    [one] { $refused } is a draft or over.
   *[other] { $refused } are drafts or over.
}
mailings-deleted = { $count ->
    [0] Nothing was deleted.
    [one] { $count } mailing deleted.
   *[other] { $count } mailings deleted.
} { $refused ->
    [0] { "" }
    [one] { $refused } runs or is just stopping and stays.
   *[other] { $refused } run or are just stopping and stay.
}
mailing-name = Name
mailing-name-hint = Only you see it.
mailing-status = State
mailing-progress = Progress
mailing-next = Next date
mailing-failed-count = { $count ->
    [one] { $count } failed
   *[other] { $count } failed
}
status-scheduled = Scheduled
mailing-edit = Edit mailing
mailing-plan = Plan
mailing-whom = To whom
mailing-what = What
mailing-when = When
mailing-sender = From whom
mailing-account = Your account
mailing-service = The service
mailing-held = The mailing is waiting.
mailing-held-hint = Nothing is lost: it goes on by itself as soon as this is put right.
held-approval = A manager looks at the first mailing of a new account before it leaves. There is nothing for you to do.
held-at-once = No more than { $most ->
    [one] one mailing
   *[other] { $most } mailings
} of your account may be sent at the same time. This one begins when another one is over.
limited-more = { $count ->
    [one] { $count } more leaves { $when }.
   *[other] { $count } more leave { $when }.
}
limited-today = today from { $hour }
limited-tomorrow = tomorrow from { $hour }
limited-in-days = in { $days } days from { $hour }
limited-hour = Your account may send { $most ->
    [one] { $most } letter
   *[other] { $most } letters
} an hour.
limited-day = Your account may send { $most ->
    [one] { $most } letter
   *[other] { $most } letters
} a day.
limited-new = Your account is new and may send { $most ->
    [one] { $most } letter
   *[other] { $most } letters
} a day until a manager approves it.
mailing-lists = Lists
mailing-no-lists = There are no lists yet.
mailing-people = Single recipients
mailing-people-search = Search by address or name
mailing-people-count = { $count ->
    [one] { $count } single recipient
   *[other] { $count } single recipients
}
mailing-new-list = Make a new list here
mailing-new-list-name = Name of the list
mailing-new-people = Recipients
mailing-new-people-hint = One a line: an address, or Name <address>.
mailing-import-link = Import a file instead
mailing-new-message = Write a new message here
mailing-new-subject = Subject
mailing-new-text = Text
mailing-new-text-hint = Personal fields go like this: {"{{ name }}"}.
mailing-editor-link = Open the full editor instead
error-bad-entry = This is no address: { $entry }
mailing-message = Message
mailing-message-later = Choose later
mailing-no-messages = There are no messages yet.
mailing-from-next-run = Counts from the next run on; letters of a run that has begun stay as they are.
mailing-begin-now = When Start is pressed
mailing-begin-at = At a date
mailing-start-at = Start
mailing-every = How often
every-once = Once
every-day = Daily
every-week = Weekly
every-month = Monthly
mailing-end = End
mailing-end-hint = Nothing leaves after this moment. May be empty.
mailing-until = until { $at }
mailing-zone = Time zone
mailing-sender-default = Empty: { $email }, the sender of this service.
mailing-from-name = Sender's name
mailing-from-email = Sender's address
mailing-reply-to = Answers go to
mailing-reply-to-hint = Empty: to the sender.
mailing-settled = This mailing has been started: to whom and when are settled. Make a copy to plan anew.
mailing-save-draft = Save as draft
mailing-save-start = Save and start
mailing-start = Start
mailing-send-to = Send to { $count ->
    [one] { $count } recipient
   *[other] { $count } recipients
}
mailing-schedule-for = Schedule for { $at }: { $count ->
    [one] { $count } recipient
   *[other] { $count } recipients
}
mailing-start-missing = Set the date first
mailing-when-wrong = Correct the schedule first
mailing-saved = The mailing is saved.
mailing-copied = This is the copy.
mailing-copy-of = Copy of { $title }
mailing-started = It has begun.
mailing-scheduled = It begins by itself: { $at }.
mailing-started-before = It had been started before.
mailing-started-held = Started. The first letter leaves when the time below is over.
mailing-taken-back = Start is taken back: no letter has left, and the mailing is a draft again.
mailing-take-back-late = It is too late to take Start back. You can pause or cancel the mailing.
take-back = Take back
take-back-text = No letter has left yet. Seconds left to take Start back:
start-question = { $count ->
    [one] Send 1 letter now?
   *[other] Send { $count } letters now?
}
start-question-passed = The date of this mailing has passed: { $at }. It would begin now.
start-question-hint = Nothing has been sent yet.
mailing-paused = Paused. No more letters leave.
mailing-resumed = It goes on.
mailing-cancelled = Cancelled. What had not left will not leave.
mailing-nothing-changed = It was so already.
mailing-not-possible = That is not possible in its present state.
mailing-not-ready = Saved, but not started: something is missing.
mailing-not-ready-hint = Complete what is marked on the left.
mailing-pause = Pause
mailing-resume = Resume
mailing-cancel = Cancel mailing
mailing-cancel-question = Cancel this mailing for good? { $count ->
    [0] No letters are waiting.
    [one] { $count } letter will not be sent.
   *[other] { $count } letters will not be sent.
}
mailing-cancel-ok = Cancel mailing
mailing-disabled = A manager switched this mailing off; no letters leave.
mailing-deleted = The mailing is deleted.
mailing-delete-running = A mailing that runs or is just stopping cannot be deleted. Cancel it first.
mailing-delete-title = Delete mailing
mailing-delete-text = “{ $title }” will be deleted for good. With it goes:
mailing-delete-runs = { $count ->
    [one] { $count } run
   *[other] { $count } runs
}
mailing-delete-deliveries = { $count ->
    [one] who got what: { $count } delivery
   *[other] who got what: { $count } deliveries
}
mailing-delete-attempts = { $count ->
    [one] the log: { $count } attempt
   *[other] the log: { $count } attempts
}
mailing-delete-stays = Recipients, lists and the message stay.
mailing-delete-ok = Delete for good
mailing-log = Log
check-title = Before Start
audience-chosen = Chosen
audience-duplicates = In several lists
audience-unsubscribed = Unsubscribed
audience-suppressed = Suppressed addresses
audience-will-get = Will get it
plan-audience = Audience
plan-next = Next dates
plan-now = At once
plan-no-dates = No dates.
plan-zone = Times in the zone { $zone }.
run-of = Run of { $at }
run-due = Date
run-of-planned = of
run-sent = sent
run-progress = Progress
run-total-planned = Letters
run-total-sent = Sent
run-total-failed = Failed
run-total-deferred = Will be tried again
run-total-remaining = Still to send
run-total-other = Not sent
run-other = Not sent: { $skipped } skipped (unsubscribed, suppressed or removed meanwhile), { $expired } after the end, { $cancelled } cancelled.
run-suppressed = { $chosen } were chosen; { $count } of them had unsubscribed or were suppressed before the start.
run-rate = Speed:
run-rate-unit = letters per second
run-left = about
run-last-progress = Last progress:
run-waiting = Sending is waiting:
run-servers = Letters go over:
run-reload = Load the numbers again
run-finished = Finished { $at }
run-state-expanding = Preparing
run-state-sending = Sending
run-state-paused = Paused
run-state-done = Done
run-state-expired = Ended
run-state-cancelled = Cancelled
run-state-skipped = Missed
runs-title = Runs
runs-all = All runs
runs-empty = No runs yet
replies-title = What the mail servers said
replies-reply = Reply
replies-state = Now
replies-count = Letters
delivery-queued = Queued
delivery-sent = Sent
delivery-deferred = Will be tried again
delivery-failed = Failed
delivery-skipped = Skipped
delivery-expired = Not before the end
delivery-cancelled = Cancelled
outcome-sent = Sent
outcome-deferred = Deferred
outcome-failed = Refused
outcome-in-doubt = In doubt
history-title = History
actor-scheduler = Scheduler
actor-command = Command line
event-created = Created
event-edited = Changed
event-started = Started
event-taken-back = Start taken back
event-paused = Paused
event-resumed = Resumed
event-cancelled = Cancelled
event-completed = Completed
event-expired = The end came before the last letter
event-skipped = { $count ->
    [one] { $count } date missed and not caught up
   *[other] { $count } dates missed and not caught up
}
event-disabled = Switched off by a manager
event-enabled = Switched on by a manager
why-message-missing = the message is missing
why-letters-too-slow = its letters take too long to make: their personal fields go through too much text. No letter failed; those that have not left wait
mailing-too-slow = The letters of this mailing take too long to make: their personal fields go through too much text. It is paused, nothing failed, and the letters that have not left wait. Simplify the message for a new mailing, or correct the recipients’ long values and resume.
log-address = Address
log-outcome = Attempt
log-state = The letter now
log-code = Code
log-from = From
log-to = To
log-any = Any
log-all = Show all
log-at = Time
log-reply = Server's reply
log-duration = Duration
log-attempt = attempt { $number }
log-empty = No attempts
log-empty-text = As soon as letters leave, every attempt is listed here with the server's reply.
log-reply-filter = Only this reply:
unit-ms = ms
duration-seconds = { $count } s
duration-minutes = { $count } min
duration-hours = { $count } h
error-not-found = This does not exist any more.
error-end-in-past = The end has passed.
error-start-in-past = This date has passed. Choose a later one, or begin when Start is pressed.
error-audience-empty = Choose a list or recipients.
error-audience-suppressed = All of them have unsubscribed or are suppressed.
error-sender-missing = Give a sender's address; this service has none of its own.
error-not-verified = Your address is not verified yet.
error-blocked = Your account is blocked.
error-disabled = A manager switched this mailing off.
error-base-url-unset = The service does not know its public address, so links in letters would lead nowhere. An administrator has to set base_url.
error-base-url-local = The public address of the service (base_url) cannot be opened from another machine, so links in letters would lead nowhere. An administrator has to change it.
error-mail-from-invalid = The service's own sender (mail_from) is an address that nobody can answer. An administrator has to set another one.
error-sender-invalid = An address at .invalid or localhost cannot be a sender: nobody can answer it. Choose another one.
mailing-stuck = Letters do not leave at the moment
