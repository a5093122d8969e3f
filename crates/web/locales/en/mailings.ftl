# Sentences of the pages of mailings.
mailings-title = Mailings
mailings-new = New mailing
mailings-empty = No mailings yet
mailings-empty-text = A mailing sends a message to recipients: right away, at a time you choose, or on a regular schedule.
mailings-search = Search by name
mailings-filter = By status
mailings-all = All
mailings-chosen = Selected:
mailings-chosen-actions = Actions for the selected mailings
mailings-none-chosen = Select some mailings first.
mailings-cancel = Cancel
mailings-cancel-question = Cancel the selected mailings permanently? Letters that have not been sent yet will not be sent.
mailings-cancel-ok = Cancel mailings
mailings-delete = Delete…
mailings-delete-title = Delete mailings
mailings-delete-text = { $count ->
    [one] { $count } mailing will be deleted permanently:
   *[other] { $count } mailings will be deleted permanently:
}
mailings-delete-with = This will be deleted too:
mailings-delete-rest = Recipients, lists and messages will be kept.
mailings-delete-stay = { $count ->
    [one] { $count } mailing is running or paused and will be kept. To delete it, cancel it first:
   *[other] { $count } mailings are running or paused and will be kept. To delete them, cancel them first:
}
mailings-paused = { $count ->
    [0] Nothing to pause.
    [one] { $count } mailing paused.
   *[other] { $count } mailings paused.
} { $refused ->
    [0] { "" }
    [one] { $refused } is not running.
   *[other] { $refused } are not running.
}
mailings-resumed = { $count ->
    [0] Nothing to resume.
    [one] { $count } mailing resumed.
   *[other] { $count } mailings resumed.
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
    [one] { $refused } cannot be cancelled: it is a draft or has completed.
   *[other] { $refused } cannot be cancelled: they are drafts or have completed.
}
mailings-deleted = { $count ->
    [0] Nothing was deleted.
    [one] { $count } mailing deleted.
   *[other] { $count } mailings deleted.
} { $refused ->
    [0] { "" }
    [one] { $refused } is still running or stopping and was kept.
   *[other] { $refused } are still running or stopping and were kept.
}
mailing-name = Name
mailing-name-hint = Only you can see it.
mailing-status = Status
mailing-progress = Progress
mailing-next = Next date
mailing-failed-count = { $count ->
    [one] { $count } failed
   *[other] { $count } failed
}
status-scheduled = Scheduled
mailing-edit = Edit mailing
mailing-plan = Plan
mailing-whom = To
mailing-what = Content
mailing-when = Schedule
mailing-sender = Sender
mailing-account = Your account
mailing-service = Service settings
mailing-held = The mailing is waiting.
mailing-held-hint = Nothing is lost: sending goes on by itself as soon as this is resolved.
held-approval = A manager reviews the first mailing of a new account before it is sent. You do not have to do anything.
held-at-once = Your account can send at most { $most ->
    [one] { $most } mailing
   *[other] { $most } mailings
} at the same time. This one will start when another has completed.
held-letters = Your account can have at most { $most ->
    [one] { $most } letter
   *[other] { $most } letters
} waiting; cancelled ones count for a day. This mailing will start when earlier letters have left.
limited-more = { $count ->
    [one] { $count } more letter will be sent { $when }.
   *[other] { $count } more letters will be sent { $when }.
}
limited-today = today, from { $hour }
limited-tomorrow = tomorrow, from { $hour }
limited-in-days = { $days ->
    [one] in { $days } day, from { $hour }
   *[other] in { $days } days, from { $hour }
}
limited-hour = Your account can send { $most ->
    [one] { $most } letter
   *[other] { $most } letters
} an hour.
limited-day = Your account can send { $most ->
    [one] { $most } letter
   *[other] { $most } letters
} a day.
limited-new = Your account is new and can send { $most ->
    [one] { $most } letter
   *[other] { $most } letters
} a day until a manager approves it.
mailing-lists = Lists
mailing-no-lists = There are no lists yet.
mailing-people = Individual recipients
mailing-people-search = Search by address or name
mailing-people-count = { $count ->
    [one] { $count } individual recipient
   *[other] { $count } individual recipients
}
mailing-new-list = Create a new list here
mailing-new-list-name = List name
mailing-new-people = Recipients
mailing-new-people-hint = One per line: an address, or Name <address>.
mailing-import-link = Import from a file
mailing-new-message = Write a new message here
mailing-new-subject = Subject
mailing-new-text = Text
mailing-new-text-hint = Write personal fields like this: {"{{ name }}"}.
mailing-editor-link = Open the full editor
error-bad-entry = This is not an e-mail address: { $entry }
mailing-message = Message
mailing-message-later = Choose later
mailing-no-messages = There are no messages yet.
mailing-from-next-run = Takes effect with the next run; letters of a run that has already started do not change.
mailing-begin-now = Right away
mailing-begin-at = At a set time
mailing-start-at = Start time
mailing-every = How often
every-once = Once
every-day = Daily
every-week = Weekly
every-month = Monthly
mailing-end = End time
mailing-end-hint = Nothing is sent after this time. Optional.
mailing-until = until { $at }
mailing-zone = Time zone
mailing-sender-default = If left empty, the sender is { $email }, the address of this service.
mailing-from-name = Sender name
mailing-from-email = Sender address
mailing-reply-to = Reply-to address
mailing-reply-to-hint = If left empty, replies go to the sender.
mailing-settled = This mailing has been started: its recipients and schedule can no longer be changed. To plan it again, make a copy.
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
mailing-saved = Mailing saved.
mailing-copied = This is the copy.
mailing-copy-of = Copy of { $title }
mailing-started = Sending has started.
mailing-scheduled = The mailing will start { $at }.
mailing-started-before = The mailing was already started.
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
mailing-paused = Paused. No more letters are being sent.
mailing-resumed = Sending has resumed.
mailing-cancelled = Cancelled. Letters not sent yet will not be sent.
mailing-nothing-changed = Nothing changed: the mailing already has this status.
mailing-not-possible = This is not possible in the current status.
mailing-not-ready = Saved, but not started: something is missing.
mailing-not-ready-hint = Correct what is marked in the list.
mailing-pause = Pause
mailing-resume = Resume
mailing-cancel = Cancel mailing
mailing-cancel-question = Cancel this mailing permanently? { $count ->
    [0] There are no unsent letters.
    [one] { $count } letter will not be sent.
   *[other] { $count } letters will not be sent.
}
mailing-cancel-ok = Cancel mailing
mailing-disabled = A manager switched this mailing off; no letters are being sent.
mailing-deleted = Mailing deleted.
mailing-delete-running = A mailing cannot be deleted while it is running or stopping. Cancel it first.
mailing-delete-title = Delete mailing
mailing-delete-text = The mailing “{ $title }” will be deleted permanently. This will be deleted too:
mailing-delete-runs = { $count ->
    [one] { $count } run
   *[other] { $count } runs
}
mailing-delete-deliveries = { $count ->
    [one] who received what: { $count } delivery
   *[other] who received what: { $count } deliveries
}
mailing-delete-attempts = { $count ->
    [one] the log: { $count } attempt
   *[other] the log: { $count } attempts
}
mailing-delete-stays = Recipients, lists and the message will be kept.
mailing-delete-ok = Delete permanently
mailing-log = Log
check-title = Before you start
audience-chosen = Selected
audience-duplicates = Duplicates across lists
audience-unsubscribed = Unsubscribed
audience-suppressed = Suppressed addresses
audience-will-get = Will receive it
plan-audience = Audience
plan-next = Next dates
plan-now = Right away
plan-no-dates = No dates.
plan-zone = Time zone: { $zone }.
run-of = Run of { $at }
run-due = Date
run-of-planned = of
run-sent = sent
run-progress = Progress
run-total-planned = Letters
run-total-sent = Sent
run-total-failed = Failed
run-total-deferred = Will be retried
run-total-remaining = Still to send
next-try = Next attempt
retry-now = Retry now
retry-now-done = { $count ->
    [one] { $count } letter is being retried.
   *[other] { $count } letters are being retried.
}
retry-now-none = No letters are waiting for a retry.
run-total-other = Not sent
run-other = Not sent: { $skipped } skipped (unsubscribed, suppressed or removed), { $expired } not sent in time, { $cancelled } cancelled.
run-suppressed = { $chosen } selected, { $count } of them excluded before the start (unsubscribed or suppressed addresses).
run-rate = Letters per second:
run-left = time left: about
run-last-progress = Last change:
run-waiting = Sending is waiting:
run-servers = Letters are sent through:
run-reload = Refresh the numbers
run-finished = Finished { $at }
run-state-expanding = Preparing
run-state-sending = Running
run-state-paused = Paused
run-state-done = Done
run-state-expired = Time ran out
run-state-cancelled = Cancelled
run-state-skipped = Missed
runs-title = Runs
runs-all = All runs
runs-empty = No runs yet
replies-title = Replies from mail servers
replies-reply = Reply
replies-state = Now
replies-count = Letters
delivery-queued = Queued
delivery-sent = Sent
delivery-deferred = Will be retried
delivery-failed = Failed
delivery-skipped = Skipped
delivery-expired = Not sent in time
delivery-cancelled = Cancelled
outcome-sent = Sent
outcome-deferred = Deferred
outcome-failed = Failed
outcome-in-doubt = In doubt
history-title = History
actor-scheduler = Scheduler
actor-command = Command line
event-created = Created
event-edited = Edited
event-started = Started
event-taken-back = Start taken back
event-paused = Paused
event-resumed = Resumed
event-cancelled = Cancelled
event-completed = Completed
event-expired = Time ran out before all letters were sent
event-skipped = { $count ->
    [one] { $count } date missed
   *[other] { $count } dates missed
}
event-disabled = Switched off by a manager
event-enabled = Switched on by a manager
why-message-missing = the message was deleted
why-message-broken = the message has an error; open it and check it
why-letters-too-slow = its letters take too long to make: the personal fields process too much text. No letter has failed, and unsent letters are waiting
mailing-too-slow = The letters of this mailing take too long to make: the personal fields process too much text. The mailing is paused; no letter has failed, and unsent letters are waiting. Simplify the message for a new mailing, or correct long values of recipients and press “{ mailing-resume }”.
log-address = Address
log-outcome = Attempt
log-state = Letter status now
log-code = Code
log-from = From
log-to = To
log-any = Any
log-all = Show all
log-at = Time
log-reply = Server reply
log-duration = Duration
log-attempt = attempt { $number }
log-empty = No attempts
log-empty-text = Once letters are being sent, every attempt appears here with the server’s reply.
log-reply-filter = Only this reply:
unit-ms = ms
duration-seconds = { $count } s
duration-minutes = { $count } min
duration-hours = { $count } h
error-not-found = This no longer exists.
error-end-in-past = The end time has already passed. Choose a later one.
error-start-in-past = This date has passed. Choose a later one, or choose “{ mailing-begin-now }”.
error-audience-empty = Choose a list or recipients.
error-audience-suppressed = All of these recipients have unsubscribed or are suppressed.
error-sender-missing = Enter a sender address: this service has none of its own.
error-not-verified = Your address is not verified yet. Open the link in the letter we sent you.
error-blocked = Your account is blocked.
error-disabled = A manager switched this mailing off.
error-base-url-unset = The service does not know its public address, so links in letters would not work. An administrator has to set base_url.
error-base-url-local = The public address of the service (the setting base_url) cannot be opened from other computers, so links in letters would not work. An administrator has to change it.
error-mail-from-invalid = No one can reply to the address the service sends from (the setting mail_from). An administrator has to set another one.
error-sender-invalid = No one can reply to an address at .invalid or localhost. Choose another sender address.
mailing-stuck = No letters are being sent right now
