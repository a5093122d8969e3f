### The service's own letters.

letter-hello = Hello!
letter-hello-name = Hello, { $name }!
letter-link = If the button does not work, copy this address into your browser:
letter-footer = This letter was sent by the mailing service at
letter-verify-subject = Verify your address
letter-verify-text = Someone, probably you, created an account with this address. Press the button to confirm that the address is yours: then you can send mailings.
letter-verify-button = Verify address
letter-verify-note = The link works for 24 hours. If this was not you, do nothing, or open the link and delete the account there.
letter-known-subject = You already have an account
letter-known-text = Someone, probably you, tried to create an account with { $email }. There is already an account with this address. If you have forgotten the password, set a new one.
letter-known-button = Set a new password
letter-known-note = The link works for 24 hours. If this was not you, you do not have to do anything: no one has learned that you have an account.
letter-reset-subject = New password
letter-reset-text = You asked for a new password for { $email }. The button takes you to the page where you can set it.
letter-reset-button = Set a new password
letter-reset-note = The link works once, within 24 hours. If this was not you, do nothing: your password stays the same.
letter-invited-subject = You have an account
letter-invited-text = An administrator of this service created an account for { $email }. Choose a password, and you can sign in.
letter-invited-button = Choose a password
letter-invited-note = The link works once, within 24 hours. After that, ask for a new password on the sign-in page.
letter-password-changed-subject = Your password was changed
letter-password-changed-text = The password of your account { $email } was changed on { $at }. Other devices were signed out.
letter-password-changed-button = This was not me
letter-password-changed-note = If this was you, you do not have to do anything. If not, set a new password immediately: the button takes you to the right page.
letter-confirm-email-subject = Verify your new address
letter-confirm-email-text = Someone wants to use this address for the account { $email }. Press the button to confirm that it is yours.
letter-confirm-email-button = Verify address
letter-confirm-email-note = The link works for 24 hours. If this was not you, do nothing: nothing will change.
letter-email-changed-subject = Your address was changed
letter-email-changed-text = The address of your account is now { $new }; letters about it will no longer come here.
letter-email-changed-button = This was not me
letter-email-changed-note = If this was you, you do not have to do anything. If not, undo the change: the button works for seven days, signs out all devices and lets you set a new password.
letter-second-factor-on-subject = Two-step sign-in is on
letter-second-factor-on-text = Two-step sign-in was turned on for your account { $email } on { $at }. From now on, a code is needed after the password.
letter-second-factor-on-button = This was not me
letter-second-factor-on-note = If this was you, you do not have to do anything. If not, set a new password immediately: the button takes you to the right page.
letter-second-factor-off-subject = Two-step sign-in is off
letter-second-factor-off-text = Two-step sign-in was turned off for your account { $email } on { $at }. The password alone now opens it.
letter-second-factor-off-button = This was not me
letter-second-factor-off-note = If this was you, you do not have to do anything. If not, set a new password immediately: the button takes you to the right page.
letter-passkey-added-subject = A passkey was added
letter-passkey-added-text = A passkey was added to your account { $email } on { $at }. It opens the account without the password.
letter-passkey-added-button = This was not me
letter-passkey-added-note = If this was you, you do not have to do anything. If not, set a new password immediately (the button takes you to the right page), then remove the passkey under “{ account-tab-security }” in your account.
letter-passkey-removed-subject = A passkey was removed
letter-passkey-removed-text = A passkey was removed from your account { $email } on { $at }. It no longer opens the account.
letter-passkey-removed-button = This was not me
letter-passkey-removed-note = If this was you, you do not have to do anything. If not, someone knows your password: set a new one. The button takes you to the right page.
letter-resubscribe-subject = Subscribe again: { $owner }
letter-resubscribe-text = Someone, probably you, asked for letters from { $owner } to go to { $email } again. If you want that, press the button.
letter-resubscribe-button = Subscribe again
letter-resubscribe-note = The link works for seven days. If this was not you, do nothing: you will stay unsubscribed.
letter-account-deleted-subject = Your account was deleted
letter-account-deleted-text = Your account { $email } and everything in it were deleted on { $at }. This is the last letter about it.
letter-account-deleted-button = Go to the site
letter-account-deleted-note = If this was not you, someone knew your password: change it wherever else you use it, and tell the people who run this service.
letter-mailing-rejected-subject = Your mailing “{ $title }” was rejected
letter-mailing-rejected-text = A manager looked at your mailing “{ $title }” and rejected it: no letters will be sent. Reason: { $reason }
letter-mailing-rejected-button = Go to your mailings
letter-mailing-rejected-note = You can prepare another mailing. A manager will review it too before it is sent.
letter-summary-subject = { $title }: { $planned ->
    [0] there was no one to send to
    [one] { $sent } of { $planned } letter sent
   *[other] { $sent } of { $planned } letters sent
}
letter-summary-button = Open the report
letter-summary-cause = Main reason why letters failed
letter-summary-one-cause = One of the reasons why letters failed
letter-summary-who = These recipients:
letter-summary-next = The next run starts on { $at }.
letter-summary-note = You receive this letter after each run of your mailings. To stop it, clear “{ profile-summaries }” in your profile:
letter-summaries-subject = { $count ->
    [one] { $count } run has completed
   *[other] { $count } runs have completed
}: { $planned ->
    [0] there was no one to send to
    [one] { $sent } of { $planned } letter sent
   *[other] { $sent } of { $planned } letters sent
}
letter-summaries-text = { $count ->
    [one] { $count } run of your mailings has completed:
   *[other] { $count } runs of your mailings have completed, so here is one letter about all of them:
}
letter-summaries-run = { $sent } of { $planned } sent
letter-summaries-failed = { $sent } of { $planned } sent, { $failed } failed
letter-summaries-more = { $count ->
    [one] And { $count } more run.
   *[other] And { $count } more runs.
}
letter-summaries-button = Open reports
letter-colleague-subject = May we send you test letters?
letter-colleague-text = { $email } prepares mailings with this service and would like to send test letters to your address. If you agree, press the button.
letter-colleague-button = Review and agree
letter-colleague-note = The link works for seven days. If you do nothing, nothing will be sent.
