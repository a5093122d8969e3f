nav-manage = Management
manage-mailings = All mailings
manage-users = Users
manage-mailings-search = Name or owner’s address
manage-user-new = New user
manage-user-new-lead = They will receive a letter with a link to choose a password. Until then, no one can sign in to the account.
manage-user-new-button = Send invitation
manage-user-new-name = Name
manage-user-new-language = Language
manage-user-invited = Account created. The letter is on its way.
manage-users-search = Address or name
manage-of-user = Mailings of
manage-from = From
manage-to = To
manage-all = All
manage-no-mailings = There are no mailings yet
manage-owner = Owner
manage-begun = Started
manage-user = User
manage-user-state = Status
manage-role = Role
manage-mailings-count = Mailings
manage-sent = Letters sent
manage-seen = Last visit
manage-never = never
manage-user-mailings = Mailings
manage-audit = What was done
manage-account = Account
manage-since = Registered
manage-verified = Address verified
manage-not-yet = not yet
manage-blocked-since = Blocked since
manage-reason = Reason
manage-volume = Volume
manage-sent-all = { $count ->
    [one] Letter sent in total
   *[other] Letters sent in total
}
manage-sent-lately = Of these in the last 30 days
manage-failed-all = { $count ->
    [one] Letter failed
   *[other] Letters failed
}
manage-unsubscribed = Unsubscribed from this user’s letters
manage-complained = Complaints about this user’s letters
manage-block = Block
manage-block-reason = Reason for blocking
manage-block-hint = The user is signed out immediately, and letters stop within a second.
manage-block-message = Message to this person
manage-block-message-hint = Shown when signing in with the right password. Optional.
manage-told = Message when signing in
manage-block-self = You cannot block yourself.
manage-block-admin = Administrators cannot be blocked.
manage-unblock = Unblock
manage-unblock-reason = Comment (optional)
manage-unblock-hint = The user’s mailings go on where they stopped.
manage-blocked = The account is blocked.
manage-unblocked = The account is unblocked.
manage-role-hint = The new role takes effect with the next page the user opens.
manage-role-reason = Reason (optional)
manage-role-changed = Role changed.
manage-letter = Letter
manage-letter-subject = Subject:
manage-letter-hint = As it was last sent or will be sent, with an example recipient in the personal fields.
manage-letter-none = There is no letter yet.
letter-pictures-hint = Pictures from other sites are not loaded: they would tell the sender that someone is looking at the letter.
letter-pictures = Show pictures
complaints-title = Complaints
complaints-text = What recipients report on the page behind the unsubscribe link. The sender only sees the number of complaints.
complaints-about = Only about the mailing
complaints-mailing = Mailing
complaints-who = Recipient
complaints-what = Complaint
complaints-deleted = deleted mailing
complaints-empty = No complaints
complaints-empty-text = If a recipient complains about a letter, the complaint appears here.
manage-off-since = Switched off
manage-disable = Switch off
manage-disable-reason = Reason for switching it off
manage-disable-hint = Letters stop within a second. The owner sees the reason on the mailing’s page and cannot switch it on again.
manage-enable = Switch on again
manage-enable-reason = Comment (optional)
manage-disabled = The mailing is switched off.
manage-enabled = The mailing is switched on again.
manage-new = New account
manage-new-yes = not approved yet
manage-approve = Approve the account
manage-approve-hint = The account is new: until a manager approves it, its mailings wait or only a few letters a day are sent.
manage-user-approved = The account is approved.
manage-limits = Limits
manage-limits-hint = An empty field means the default, which is shown in it. “unlimited” removes the limit; sizes can be written as 200MB.
manage-limits-reason = Reason for the change
manage-limits-changed = Limits changed.
limit-letters-per-hour = Letters per hour
limit-letters-per-day = Letters per day
limit-recipients = Recipients
limit-mailings-at-once = Mailings at the same time
limit-letters-waiting = Letters waiting to be sent
limit-messages = Messages
limit-letter-size = Size of a message
limit-uploads-waiting = Uploaded files in the queue
limit-uploads-size = Total size of these files
limit-pictures = Pictures
limit-previews-per-hour = Previews per hour
limit-test-letters-per-hour = Test letters per hour
approvals-title = Waiting for approval
approvals-lead = Mailings of new accounts that no manager has approved yet. Approving a mailing also approves the account: this mailing and all later ones are sent without the limits for new accounts.
approvals-empty = No mailing is waiting for approval
approvals-empty-text = When a new account starts a mailing, it appears here.
approvals-age = Account created
approvals-days = { $count ->
    [0] today
    [one] { $count } day ago
   *[other] { $count } days ago
}
approvals-audience = Audience
approvals-people = { $count ->
    [one] { $count } person
   *[other] { $count } people
}
approvals-reason-hint = Required to reject: the owner reads it on the mailing’s page and in a letter. It is kept in the audit log.
approvals-approve = Approve mailing and account
approvals-reject = Reject
approvals-more = There are more; they appear once these are decided.
approvals-changed = The mailing has changed in the meantime: its message, sender or audience is no longer what you looked at. Nothing was approved; the current state is below.
approvals-approved-before = Nothing has changed: the account was already approved ({ $by }, { $at }), so the mailing no longer waits. What has been sent cannot be taken back, but the mailing can still be switched off on its page.
approvals-rejected-before = Nothing has changed: the mailing was already rejected ({ $by }, { $at }). It can be switched on again on its page; then it waits for approval again.
approvals-not-waiting = Nothing has changed: the mailing no longer waits for approval.
approvals-decide = This mailing needs a manager’s decision
approvals-decide-text = It belongs to a new account that no one has approved yet. Look at the letter and the recipients on this page, then approve or reject it.
approvals-queue = All mailings waiting for approval
approvals-approved = The mailing and the account are approved.
approvals-rejected = The mailing is rejected. Its owner will receive a letter with the reason.
user-active = Active
user-unverified = Address not verified
user-blocked = Blocked
audit-title = Audit log
audit-search = Address, action or reason
audit-actor = Who
audit-kind = Action
audit-at = When
audit-what = What
audit-about-one = Only about one user or mailing.
audit-empty = Nothing has happened yet
audit-empty-text = Every block, every mailing switched off and every change of role is recorded here permanently.
audit-deleted = deleted account
audit-user-blocked = Account blocked
audit-user-unblocked = Account unblocked
audit-role-changed = Role changed
audit-user-created = Account created
audit-user-verified = Address marked as verified
audit-password-set = Password set
audit-second-factor-removed = Two-step sign-in turned off
audit-user-deleted = Account deleted
audit-mailing-disabled = Mailing switched off
audit-user-approved = New account approved
audit-limits-changed = Limits changed
audit-limit-default = default
audit-limit-unlimited = unlimited
audit-mailing-approved = Mailing and account approved
audit-mailing-rejected = Mailing rejected
audit-mailing-enabled = Mailing switched on again
audit-suppression-lifted = Address no longer suppressed
audit-server-created = Mail server added
audit-server-changed = Mail server edited
audit-server-enabled = Mail server switched on
audit-server-disabled = Mail server switched off
audit-server-resumed = Mail server tried again
audit-server-deleted = Mail server deleted
audit-site-renamed = Site renamed
settings-title = Settings
settings-site = This site
settings-site-name = Name
settings-site-name-hint = Pages, letters of the service and the unsubscribe page bear it. It is in force at once, without a restart.
settings-saved = Saved.
settings-configuration = Settings of the process
settings-text = These settings are in effect in this process. Change them in the settings file or the environment; secrets are not shown.
settings-version = Version
settings-database = Database
settings-key = Setting
settings-value = Value
settings-source = Source
settings-from-default = default
settings-from-nowhere = not set
settings-from-dot-env = { $variable } in .env
settings-from-environment = { $variable } in the environment
mailing-disabled-reason = Reason:
mailing-disabled-hint = Only a manager can switch it on again.
mailing-complaints = { $count ->
    [one] { $count } recipient complained about letters of this mailing
   *[other] { $count } recipients complained about letters of this mailing
}
mailing-complaints-hint = Managers of this service can see the complaints. Write only to people who asked for it, and do not hide the unsubscribe link.
mailing-disabled-refused = A manager switched this mailing off. It cannot be started, resumed, edited or copied until a manager switches it on again.
error-cannot-block-self = You cannot block yourself.
error-cannot-block-admin = Administrators cannot be blocked.
error-last-administrator = This is the last administrator who can sign in. Make someone else an administrator first.
error-has-open-mailings = { $count ->
    [one] { $count } mailing of this user is running or paused and could not be stopped in the new role. Cancel it first.
   *[other] { $count } mailings of this user are running or paused and could not be stopped in the new role. Cancel them first.
}
manage-second = Two-step sign-in
manage-second-since = on since { $at }
manage-second-lead = For someone who has lost both their phone and their recovery codes. Make sure that it is really this person who asks: afterwards the password alone opens the account. The user will receive a letter about it.
manage-second-question = Turn two-step sign-in off for this user?
manage-second-done = Two-step sign-in is off, and the user was sent a letter.
manage-overview-title = Service overview
manage-overview-users = { $count ->
    [one] Active user
   *[other] Active users
}
manage-overview-running = { $count ->
    [one] Mailing running
   *[other] Mailings running
}
manage-overview-sent = { $count ->
    [one] Letter sent in 30 days
   *[other] Letters sent in 30 days
}
manage-overview-failed = { $count ->
    [one] Letter failed in 30 days
   *[other] Letters failed in 30 days
}
manage-senders = Top senders in 30 days
manage-senders-empty = Nothing was sent in this time.
manage-senders-runs = Runs
manage-senders-unsubscribed = Unsubscribed
manage-senders-complained = Complaints
manage-next = Next mailings
manage-next-empty = Nothing is scheduled.
manage-next-at = Starts
settings-untrusted = All visitors come from { $peer }. If this is your reverse proxy, add it to trusted_proxies: it sends { $header } but is not trusted, so all its visitors share one set of limits.
settings-untrusted-seen = Last seen { $at }.
complaints-test = Test letter
