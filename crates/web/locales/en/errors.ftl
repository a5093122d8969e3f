error-title-bad-request = This request makes no sense
error-title-forbidden = Not allowed
error-title-forged = This page is too old
error-title-not-found = Not found
error-title-method = Not possible here
error-title-timeout = That took too long
error-title-too-slow = Too slow
error-title-conflict = Not possible right now
error-title-too-large = Too large
error-title-invalid = Something is not right
error-title-too-many = Too many tries
error-title-internal = Something broke
error-page-bad-request = The address or the form could not be read.
error-page-forbidden = Your account may not open this page.
error-page-forged = Go back, load the page again and repeat what you did. Nothing was changed.
late-form-title = Your text
late-form-kept = You were signed out meanwhile, or signed in again. What you typed is kept for a day, except passwords and files, and nothing has been done yet. You get the same form back, filled in.
late-form-login-otherwise = Sign in another way
late-form-open = Open the form
late-form-other-account = It was typed with another account. Sign out, sign in with that account, and open the form.
late-form-files = You were signed out meanwhile, or signed in again. Nothing has been done, and files are not kept: please choose them again.
late-form-files-again = Choose again
late-form-filled = This is what you typed. Nothing has been saved or sent yet. Passwords and files have to be entered again.
late-form-no-page = The page of this form does not exist any more. This is what you typed.
late-form-send = Send
error-page-not-found = There is nothing at this address, or it belongs to somebody else.
error-page-method = This address is there, but not for this act.
error-page-timeout = The server was too slow. Try again in a moment.
error-page-too-slow = Your data arrived too slowly, so the service stopped waiting for it. Try again, if you can over a better connection.
error-page-conflict = It is used or was changed elsewhere in the meantime. Go back and look again.
error-page-too-large = What was sent is larger than the service takes.
error-page-invalid = One of the values was not accepted. Go back and look again.
error-page-too-many = This protects accounts from people who guess. Nobody is locked out.
error-page-internal = It is not your fault. The error is in the log of the service; try again in a moment.
error-invalid = This value is not accepted.
error-required = Fill this in.
error-too-long = At most { $max } characters.
error-limit-number = A whole number from { $min }, or “unlimited”.
error-limit-size = A size from { $min } like 200MB, or “unlimited”.
error-recipients-limit = Your account may have { $max ->
    [one] { $max } recipient
   *[other] { $max } recipients
}. A manager can raise this limit.
error-letter-size = The message is larger than { $size }, which is the limit of your account. Make it shorter, or ask a manager to raise the limit.
error-pictures-limit = Your account may have { $max ->
    [one] { $max } picture
   *[other] { $max } pictures
}. Remove one that is not used, or ask a manager to raise this limit.
error-too-short = At least { $min } characters.
error-control-characters = Line breaks and control characters are not allowed here.
error-sent-before = This form was already saved with different content. What you see below is not saved yet. Saving it creates a separate entry.
error-unknown-choice = Choose one of the options.
error-unknown-zone = There is no such time zone.
error-duplicate = This is already there.
error-email-syntax = This is not an e-mail address.
error-wrong-login = Wrong address or password.
error-title-busy = Very busy right now
error-page-busy = Too many people want the same thing at this moment. Try again.
error-wait-seconds = { $count ->
    [one] Try again in a second.
   *[other] Try again in { $count } seconds.
}
error-wait-minutes = { $count ->
    [one] Try again in a minute.
   *[other] Try again in { $count } minutes.
}
error-password-common = This is one of the passwords that are tried first. Choose one that only you would think of.
error-password-own = Your name or address is easy to guess. Choose something else.
error-wrong-code = This code is wrong, or it was used already.
error-wrong-password = This is not your present password.
error-domain-not-allowed = Only addresses at { $domains } can register here.
error-passkey-unknown = This passkey opens nothing here, or it took too long. Try again.
error-passkey-failed = That did not work: no passkey was chosen, or this device has none for this site.
error-unverified = Verify your address first.
error-colleague-own = That is your own address; test letters go there anyway.
error-too-many-colleagues = { $max } colleagues at most. Remove one first.
error-test-stranger = { $email } is neither your own verified address nor that of a colleague who agreed. Ask them under Account → Colleagues.
error-test-suppressed = { $email } has unsubscribed from your letters.
error-test-limit = { $max ->
    [one] One test letter
   *[other] { $max } test letters
} an hour at most. Try again in an hour.
error-title-disk-short = Not enough room
error-page-disk-short = The server is running out of disk space, so it takes no files for now. Letters go on leaving. Try again later.
error-messages-limit = Your account may have { $max ->
    [one] one message
   *[other] { $max } messages
} at most. Delete some, or ask a manager to raise the limit.
