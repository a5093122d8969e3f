# Texts of reports.
print = Print
span-days = { $count } d
span-part-of-seconds = { $text } s
plot-table = The same as a table
report-title = Report
report-figures = Figures
report-nobody = There was nobody to write to.
report-accepted = { $sent } of { $planned ->
    [one] { $planned } letter
   *[other] { $planned } letters
} { $sent ->
    [one] was
   *[other] were
} accepted
report-all-accepted = { $planned ->
    [one] The only letter was accepted
   *[other] All { $planned } letters were accepted
}
report-none-accepted = { $planned ->
    [one] The only letter was not accepted
   *[other] None of { $planned } letters was accepted
}
report-within = in { $time }
report-failed = { $count } failed
report-failed-because = { $count } failed because { $why }
report-failed-most = { $count } failed, most because { $why }
report-failed-often = { $count } failed, most often because { $why }
report-deferred = { $count } will be tried again
report-left = { $count } still to send
report-skipped = { $count } left out: unsubscribed, suppressed or removed
report-expired = { $count } not sent before the end
report-cancelled = { $count } not sent because the mailing was cancelled
report-soon = The report will be here in a moment.
report-retry = Retry failed ({ $count })
report-timeline = What happened when
report-from = From
report-slot = Each line is { $time }.
report-tries = Attempts per letter
report-tries-how-often = Attempts
report-never-tried = Not tried
report-tried = { $count ->
    [one] { $count } attempt
   *[other] { $count } attempts
}
report-in-doubt = { $count ->
    [one] { $count } attempt in doubt.
   *[other] { $count } attempts in doubt.
}
report-in-doubt-text = The connection broke before the answer came, so the letter was sent again: somebody may have got it twice.
report-times = Time until accepted
report-after = After
report-half = Half of the letters
report-most = 9 of 10
report-nearly-all = 99 of 100
report-all = The last one
report-times-text = Since the first letter could leave.
report-no-times = No letter has been accepted yet.
report-why-failed = Why letters failed
report-why-waiting = Why letters are tried again
report-why-given-up = Tried, and not sent in time
report-domains = By domain
report-domain = Domain
report-average = On average after
report-other-domains = { $count ->
    [one] { $count } other domain
   *[other] { $count } other domains
}
report-more-domains = { $count } more
report-final = Counted { $at }, after the run was over.
report-as-of = Tables and plots as of { $at }; the figures above are the latest.
report-runs = Run by run
report-trend = The trend
report-accepted-share = Accepted
report-median = Half after
report-main-cause = Main cause
report-mailing-sentence = { $runs ->
    [one] { $runs } run.
   *[other] { $runs } runs.
}
cause-mailbox-unknown = The mailbox does not exist
cause-why-mailbox-unknown = the mailbox does not exist
cause-text-mailbox-unknown = There is nobody at this address: a typing error, or the mailbox was deleted.
cause-do-mailbox-unknown = When the run is over, nothing more goes to these addresses: they join those that get nothing. If more letters failed this way than were accepted, they do not: then the mail server is probably set up wrong.
cause-domain-unknown = The domain takes no mail
cause-why-domain-unknown = the domain takes no mail
cause-text-domain-unknown = What stands behind the @ does not exist, or has no mail server.
cause-do-domain-unknown = Look for typing errors such as gmial.com; remove the others.
cause-mailbox-full = The mailbox is full
cause-why-mailbox-full = the mailbox is full
cause-text-mailbox-full = The recipient has no room for new letters. Often the mailbox is not read any more.
cause-do-mailbox-full = Try again in some days. Remove the address if it stays full.
cause-mailbox-disabled = The mailbox is closed
cause-why-mailbox-disabled = the mailbox is closed
cause-text-mailbox-disabled = The provider has locked this mailbox, usually because nobody has used it for long.
cause-do-mailbox-disabled = Remove these addresses.
cause-policy = Taken for spam or refused by a rule
cause-why-policy = the letter was taken for spam or refused by a rule
cause-text-policy = The receiving server does not want this letter: because of its content, its links, or the reputation of your server or domain.
cause-do-policy = Read the server's words below; many contain a link that explains. Write only to people who asked for it, and check your domain against public block lists.
cause-authentication = The sender's domain is not proved
cause-why-authentication = the sender's domain is not proved
cause-text-authentication = The receiving server cannot verify that the letter really comes from your domain (SPF, DKIM, DMARC).
cause-do-authentication = Ask whoever looks after your domain to set up SPF, DKIM and DMARC for the mail server you send with.
cause-greylisted = Asked to come back later
cause-why-greylisted = the server asks strangers to come back later
cause-text-greylisted = Some servers refuse the first letter of everybody they do not know and accept it minutes later.
cause-do-greylisted = Nothing: these letters are tried again by themselves.
cause-rate = Too many letters at once
cause-why-rate = too many letters came at once
cause-text-rate = The provider accepts only so many letters in a time.
cause-do-rate = They are tried again later. If it happens often, lower the rate for this provider and let it grow slowly.
cause-size = The letter is too large
cause-why-size = the letter is too large
cause-text-size = The receiving server takes no letters of this size.
cause-do-size = Shorten the message; put large pictures on the web.
cause-sender = The sender's address is refused
cause-why-sender = the sender's address is refused
cause-text-sender = The server does not accept letters from the sender's address of this mailing.
cause-do-sender = Check that the sender's address exists and its domain receives mail.
cause-address = The address cannot be written to
cause-why-address = the address cannot be written to
cause-text-address = The address is not valid for mail.
cause-do-address = Correct or remove it.
cause-content = The letter could not be made
cause-why-content = the letter could not be made
cause-text-content = Something in the message does not fit this recipient, such as a field that cannot be filled in.
cause-do-content = Open the message, look at the preview for one of these people, and correct it.
cause-busy = The mail server is busy
cause-why-busy = the mail server was busy
cause-text-busy = The server had no room or no time for more letters.
cause-do-busy = Nothing: these letters are tried again by themselves.
cause-connection = No connection to the mail server
cause-why-connection = there was no connection to the mail server
cause-text-connection = The connection was refused, broke, or no answer came in time.
cause-do-connection = They are tried again. If it lasts, tell your administrator.
cause-tls = No safe connection
cause-why-tls = there was no safe connection
cause-text-tls = An encrypted connection to the mail server could not be made.
cause-do-tls = Tell your administrator: the server's certificate or the settings are wrong.
cause-credentials = The mail server does not take the password
cause-why-credentials = the mail server does not take the password
cause-text-credentials = The mail server refuses the user name or password of this service.
cause-do-credentials = Tell your administrator.
cause-interrupted = Sending was interrupted
cause-why-interrupted = sending was interrupted
cause-text-interrupted = A sending process ended before the server's answer was known.
cause-do-interrupted = These letters are tried again; somebody may get one twice.
cause-temporary = Refused for now
cause-why-temporary = the server refused for now
cause-text-temporary = The server did not accept the letter this time and gave no reason we know.
cause-do-temporary = These letters are tried again by themselves. The server's words are below.
cause-permanent = Refused for good
cause-why-permanent = the server refused for good
cause-text-permanent = The server does not accept the letter and gave no reason we know.
cause-do-permanent = Read the server's words below. Do not write to these addresses again before you know why.
people-title = Who
people-of-run = Run
people-state = What became of it
people-any = Any
people-domain = Domain
people-address = Address
people-reply-filter = Only after this reply:
people-attempts-filter = { $count ->
    [0] Only letters that were not tried
    [one] Only letters with one attempt
   *[other] Only letters with { $count } attempts
}
people-class-filter = Only for this reason:
people-code-filter = Only with code { $code }
people-tried = Attempts
people-when = When
people-reply = Last reply
people-empty = Nobody
people-empty-text = No letter of this run matches.
people-cut = Looked through up to { $address }; there may be more.
people-go-on = Look further
people-new = New mailing to these people
people-new-title = { $title }: { $group }
people-all = Show all
people-made = A draft for { $count ->
    [one] { $count } person
   *[other] { $count } people
} with the same message. Read it, then press Start.
people-none-left = None of them is a recipient any more.
people-removed = removed
people-skipped-why = { $why ->
    [unsubscribed] unsubscribed
    [removed] removed meanwhile
   *[other] suppressed
}
letters-of = All letters to { $email }
letters-title = Letters
letters-empty = No letters yet
letters-empty-text = As soon as a mailing with this recipient begins, it is listed here.
letters-attempts = Attempts
letters-no-attempts = Not tried
people-sent = Sent
people-failed = Failed
people-deferred = Will be tried again
people-remaining = Still to send
people-skipped = Left out
people-expired = Not before the end
people-cancelled = Cancelled
run-letters-per-second = Letters per second
report-forgotten = Who got what was removed on { $at }, as the settings say; the figures and the report stay.
period-title = Reports
period-empty = No runs in these days
period-empty-text = Choose other days, or start a mailing.
