# Texts of reports.
print = Print
span-days = { $count } d
span-instant = less than 0.1 s
span-part-of-seconds = { $text } s
plot-table = Show as a table
report-title = Report
report-figures = Figures
report-nobody = There was no one to send to.
report-accepted = { $sent } of { $planned ->
    [one] { $planned } letter
   *[other] { $planned } letters
} { $sent ->
    [one] was
   *[other] were
} sent
report-all-accepted = { $planned ->
    [one] The only letter was sent
   *[other] All { $planned } letters were sent
}
report-none-accepted = { $planned ->
    [one] The only letter was not sent
   *[other] None of the { $planned } letters were sent
}
report-within = in { $time }
report-within-second = in less than a second
report-failed = { $count } failed
report-failed-mixed = { $count } failed for different reasons
report-failed-because = { $count } failed because { $why }
report-failed-most = { $count } failed, mostly because { $why }
report-failed-often = { $count } failed, most often because { $why }
report-deferred = { $count } will be retried
report-left = { $count } still to send
report-skipped = { $count } skipped: unsubscribed, suppressed or removed
report-expired = { $count } not sent in time
report-cancelled = { $count } not sent because the mailing was cancelled
report-soon = The report will appear here shortly.
report-retry = Retry the failed ones ({ $count })
report-timeline = Timeline
report-from = From
report-slot = Each row covers { $time }.
report-tries = Attempts per letter
report-tries-how-often = Attempts
report-never-tried = No attempts
report-tried = { $count ->
    [one] { $count } attempt
   *[other] { $count } attempts
}
report-in-doubt = { $count ->
    [one] { $count } attempt in doubt.
   *[other] { $count } attempts in doubt.
}
report-in-doubt-text = The connection broke before the reply arrived, so the letter was sent again: someone may have received it twice.
report-times = Time until sent
report-after = After
report-half = Half of the letters
report-most = 9 of 10
report-nearly-all = 99 of 100
report-all = The last one
report-times-text = Counted from when the first letter could be sent.
report-no-times = No letters have been sent yet.
report-why-failed = Why letters failed
report-why-waiting = Why letters will be retried
report-why-given-up = Why letters were not sent in time
report-domains = By domain
report-domain = Domain
report-average = Average time
report-other-domains = { $count ->
    [one] { $count } other domain
   *[other] { $count } other domains
}
report-more-domains = Show { $count } more
report-final = Calculated { $at }, after the run had completed.
report-as-of = Tables and plots as of { $at }; the figures above are more recent.
report-runs = By run
report-trend = Trend
report-accepted-share = Sent
report-median = Half after
report-main-cause = Main cause
cause-mixed = Different reasons
report-mailing-sentence = { $runs ->
    [one] { $runs } run.
   *[other] { $runs } runs.
}
cause-mailbox-unknown = The mailbox does not exist
cause-why-mailbox-unknown = the mailbox does not exist
cause-text-mailbox-unknown = There is no one at this address: it has a typo, or the mailbox was deleted.
cause-do-mailbox-unknown = When the run has completed, these addresses will be suppressed and receive no more letters. If more letters failed this way than were sent, they will not be: then the mail server is probably set up wrong.
cause-domain-unknown = The domain does not accept mail
cause-why-domain-unknown = the domain does not accept mail
cause-text-domain-unknown = The domain after the @ does not exist or has no mail server.
cause-do-domain-unknown = Look for typos such as gmial.com; delete the other addresses.
cause-mailbox-full = The mailbox is full
cause-why-mailbox-full = the mailbox is full
cause-text-mailbox-full = The recipient has no space for new letters. Often such a mailbox is no longer read.
cause-do-mailbox-full = Try again in a few days. Delete the address if the mailbox is still full.
cause-mailbox-disabled = The mailbox is closed
cause-why-mailbox-disabled = the mailbox is closed
cause-text-mailbox-disabled = The provider has locked this mailbox, usually because it has not been used for a long time.
cause-do-mailbox-disabled = Delete these addresses.
cause-policy = Treated as spam or blocked by a rule
cause-why-policy = the letter was treated as spam or blocked by a rule
cause-text-policy = The recipient’s server rejects this letter because of its content, its links, or the reputation of your server or domain.
cause-do-policy = Read the server’s reply below; it often contains a link that explains why. Write only to people who asked for it, and check your domain against public block lists.
cause-authentication = The sender’s domain is not verified
cause-why-authentication = the sender’s domain is not verified
cause-text-authentication = The recipient’s server cannot verify that the letter really comes from your domain (SPF, DKIM, DMARC).
cause-do-authentication = Ask the person who manages your domain to set up SPF, DKIM and DMARC for the mail server you send with.
cause-greylisted = Asked to come back later
cause-why-greylisted = the server asks unknown senders to come back later
cause-text-greylisted = Some servers turn away the first letter from any sender they do not know, and accept it minutes later.
cause-do-greylisted = Nothing to do: these letters are retried automatically.
cause-rate = Too many letters at a time
cause-why-rate = too many letters came at a time
cause-text-rate = The provider accepts only a limited number of letters in a given time.
cause-do-rate = These letters are retried later. If it happens often, lower the rate for this provider and raise it gradually.
cause-size = The letter is too large
cause-why-size = the letter is too large
cause-text-size = The recipient’s server does not accept letters of this size.
cause-do-size = Shorten the message; host large pictures on the web.
cause-sender = The sender address is rejected
cause-why-sender = the sender address is rejected
cause-text-sender = The server does not accept letters from the sender address of this mailing.
cause-do-sender = Make sure that the sender address exists and its domain receives mail.
cause-address = Invalid address
cause-why-address = the address is invalid
cause-text-address = The address is malformed, so no letter can be sent to it.
cause-do-address = Correct or delete it.
cause-content = The letter could not be made
cause-why-content = the letter could not be made
cause-text-content = Something in the message does not work for this recipient, such as a field that cannot be filled in.
cause-do-content = Open the message, preview it as one of these people, and correct it.
cause-busy = The mail server is busy
cause-why-busy = the mail server was busy
cause-text-busy = The server had no capacity for more letters.
cause-do-busy = Nothing to do: these letters are retried automatically.
cause-connection = No connection to the mail server
cause-why-connection = there was no connection to the mail server
cause-text-connection = The connection was refused or broke, or no reply came in time.
cause-do-connection = These letters are retried automatically. If the problem lasts, tell your administrator.
cause-tls = No secure connection
cause-why-tls = there was no secure connection
cause-text-tls = No encrypted connection to the mail server could be established.
cause-do-tls = Tell your administrator: the server’s certificate or the settings are wrong.
cause-credentials = The mail server does not accept the password
cause-why-credentials = the mail server does not accept the password
cause-text-credentials = The mail server rejects the user name or password of this service.
cause-do-credentials = Tell your administrator.
cause-interrupted = Sending was interrupted
cause-why-interrupted = sending was interrupted
cause-text-interrupted = A sending process ended before the server’s reply was known.
cause-do-interrupted = These letters are retried automatically; someone may receive one twice.
cause-temporary = Temporarily not accepted
cause-why-temporary = the server temporarily does not accept the letter
cause-text-temporary = The server deferred the letter and gave no reason that we recognise.
cause-do-temporary = These letters are retried automatically. The server’s reply is below.
cause-permanent = The server rejected the letter
cause-why-permanent = the server rejected the letter
cause-text-permanent = The server does not accept the letter and gave no reason that we recognise.
cause-do-permanent = Read the server’s reply below. Do not write to these addresses again until you know the cause.
people-title = Recipients
people-of-run = Run
people-state = Letter status
people-any = Any
people-domain = Domain
people-address = Address
people-reply-filter = Only with this reply:
people-attempts-filter = { $count ->
    [0] Only letters without attempts
    [one] Only letters with { $count } attempt
   *[other] Only letters with { $count } attempts
}
people-class-filter = Only for this reason:
people-code-filter = Only with code { $code }
people-tried = Attempts
people-when = When
people-reply = Last reply
people-empty = No one found
people-empty-text = No letters of this run match.
people-cut = Searched up to { $address }; there may be more matches after it.
people-go-on = Continue searching
people-new = New mailing to these people
people-new-title = { $title }: { $group }
people-all = Show all
people-made = A draft for { $count ->
    [one] { $count } person
   *[other] { $count } people
} with the same message. Check it, then press “{ mailing-start }”.
people-none-left = None of these people is a recipient any more.
people-removed = recipient removed
people-skipped-why = { $why ->
    [unsubscribed] unsubscribed
    [removed] recipient removed
   *[other] address suppressed
}
letters-of = All letters to { $email }
letters-title = Letters
letters-empty = No letters yet
letters-empty-text = As soon as a mailing with this recipient starts, it appears here.
letters-attempts = Attempts
letters-no-attempts = No attempts
people-sent = Sent
people-failed = Failed
people-deferred = Will be retried
people-remaining = Still to send
people-skipped = Skipped
people-expired = Not sent in time
people-cancelled = Cancelled
run-letters-per-second = Letters per second
report-forgotten = Details of who received what were deleted on { $at }, as the service is set to do; the figures and the report remain.
period-title = Reports
period-empty = No runs on these days
period-empty-text = Choose other days or start a mailing.
