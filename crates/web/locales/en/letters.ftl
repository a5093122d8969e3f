### The service's own letters.

letter-hello = Hello!
letter-hello-name = Hello, { $name }!
letter-link = If the button does not work, copy this address into the browser:
letter-footer = This letter was sent by the mailing service at
letter-verify-subject = Verify your address
letter-verify-text = Somebody, probably you, has made an account with this address. Press the button to show that the address is yours: then you can send mailings.
letter-verify-button = Verify the address
letter-verify-note = The link works for 24 hours. If it was not you, do nothing, or open the link and delete the account there.
letter-known-subject = You already have an account
letter-known-text = Somebody, probably you, wanted to use { $email } for an account. This address already has one. If you have forgotten the password, set a new one.
letter-known-button = Set a new password
letter-known-note = The link works for 24 hours. If it was not you, there is nothing to do: nobody has learnt that you have an account.
letter-reset-subject = Set a new password
letter-reset-text = You have asked for a new password for { $email }. The button leads to the page where you set it.
letter-reset-button = Set a new password
letter-reset-note = The link works for 24 hours and once. If it was not you, do nothing: your password stays as it is.
letter-password-changed-subject = Your password was changed
letter-password-changed-text = The password of your account { $email } was changed on { $at }. Other devices are signed out.
letter-password-changed-button = It was not me
letter-password-changed-note = If it was you, there is nothing to do. If not, set a new password at once: the button leads there.
letter-confirm-email-subject = Verify your new address
letter-confirm-email-text = The account { $email } shall get this address. Press the button to show that it is yours.
letter-confirm-email-button = Use this address
letter-confirm-email-note = The link works for 24 hours. If it was not you, do nothing: nothing changes then.
letter-email-changed-subject = Your address was changed
letter-email-changed-text = Your account now has the address { $new }, and letters about it no longer come here.
letter-email-changed-button = It was not me
letter-email-changed-note = If it was you, there is nothing to do. If not, take the change back: the button works for seven days, signs everybody out and lets you set a new password.
letter-second-factor-on-subject = Two-step sign-in is on
letter-second-factor-on-text = Two-step sign-in was turned on for your account { $email } on { $at }. From now on a code is asked for after the password.
letter-second-factor-on-button = It was not me
letter-second-factor-on-note = If it was you, there is nothing to do. If not, set a new password at once: the button leads there.
letter-second-factor-off-subject = Two-step sign-in is off
letter-second-factor-off-text = Two-step sign-in was turned off for your account { $email } on { $at }. The password alone opens it now.
letter-second-factor-off-button = It was not me
letter-second-factor-off-note = If it was you, there is nothing to do. If not, set a new password at once: the button leads there.
letter-passkey-added-subject = A passkey was added
letter-passkey-added-text = A passkey was added to your account { $email } on { $at }. It opens the account without the password.
letter-passkey-added-button = It was not me
letter-passkey-added-note = If it was you, there is nothing to do. If not, set a new password at once, and then remove the passkey in your account under “Security”: the button leads to the password.
letter-passkey-removed-subject = A passkey was removed
letter-passkey-removed-text = A passkey was removed from your account { $email } on { $at }. It does not open the account any more.
letter-passkey-removed-button = It was not me
letter-passkey-removed-note = If it was you, there is nothing to do. If not, somebody knows your password: set a new one, the button leads there.
letter-resubscribe-subject = Subscribe again: { $owner }
letter-resubscribe-text = Somebody, probably you, asked that letters from { $owner } go to { $email } again. Press the button if you want that.
letter-resubscribe-button = Subscribe again
letter-resubscribe-note = The link works for seven days. If it was not you, do nothing: you stay unsubscribed.
letter-account-deleted-subject = Your account was deleted
letter-account-deleted-text = Your account { $email } was deleted on { $at }, with everything in it. This is the last letter about it.
letter-account-deleted-button = To the site
letter-account-deleted-note = If it was not you, somebody knew your password: change it wherever else you use it, and tell the people who run this service.
letter-mailing-rejected-subject = Your mailing “{ $title }” was rejected
letter-mailing-rejected-text = A manager looked at your mailing “{ $title }” and rejected it. No letters of it leave. The reason: { $reason }
letter-mailing-rejected-button = To your mailings
letter-mailing-rejected-note = You can make another mailing. A manager looks at it as well before it leaves.
letter-summary-subject = { $title }: { $planned ->
    [0] there was nobody to write to
    [one] { $sent } of { $planned } letter accepted
   *[other] { $sent } of { $planned } letters accepted
}
letter-summary-button = Open the report
letter-summary-cause = Most common reason for failures
letter-summary-who = These people:
letter-summary-next = The next run begins on { $at }.
letter-summary-note = You get this letter after each run of your mailings. To stop it, clear “Write me a summary after each run” in your profile:
letter-summaries-subject = { $count ->
    [one] { $count } run is over
   *[other] { $count } runs are over
}: { $planned ->
    [0] there was nobody to write to
    [one] { $sent } of { $planned } letter accepted
   *[other] { $sent } of { $planned } letters accepted
}
letter-summaries-text = { $count ->
    [one] { $count } run of your mailings ended:
   *[other] { $count } runs of your mailings ended, so here is one letter about all of them:
}
letter-summaries-run = { $sent } of { $planned } accepted
letter-summaries-failed = { $sent } of { $planned } accepted, { $failed } failed
letter-summaries-more = { $count ->
    [one] And { $count } more run.
   *[other] And { $count } more runs.
}
letter-summaries-button = Open the reports
letter-colleague-subject = May test letters go to you?
letter-colleague-text = { $email } prepares mailings with this service and wants to send test letters to your address. Press the button if you agree.
letter-colleague-button = See and agree
letter-colleague-note = The link works for seven days. If you do nothing, nothing will be sent.
