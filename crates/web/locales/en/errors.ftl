error-title-bad-request = The request could not be read
error-title-forbidden = Access denied
error-title-forged = This page has expired
error-title-not-found = Not found
error-title-method = Not possible here
error-title-timeout = That took too long
error-title-too-slow = Too slow
error-title-conflict = Not possible right now
error-title-too-large = Too large
error-title-invalid = A value is not valid
error-title-too-many = Too many attempts
error-title-internal = Something went wrong
error-page-bad-request = The address or the form could not be read.
error-page-forbidden = Your account does not have access to this page.
error-page-forged = Go back, reload the page and try again. Nothing was changed.
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
error-page-not-found = There is nothing at this address, or it belongs to someone else.
error-page-method = The address is right, but this action is not available here.
error-page-timeout = The server did not answer in time. Try again in a moment.
error-page-too-slow = Your data arrived too slowly, so the service stopped waiting. Try again, over a faster connection if you can.
error-page-conflict = It is in use, or it was changed in the meantime. Go back and look again.
error-page-too-large = You sent more data than the service accepts.
error-page-invalid = One of the values is not valid. Go back and check it.
error-page-too-many = This protects accounts from password guessing. No one is locked out.
error-page-internal = This is our fault, and the error is in the log of the service. Try again in a moment.
error-invalid = This value is not valid.
error-required = Fill in this field.
error-too-long = { $max ->
    [one] At most { $max } character.
   *[other] At most { $max } characters.
}
error-limit-number = Enter a whole number of at least { $min }, or “unlimited”.
error-limit-size = Enter a size of at least { $min }, such as 200MB, or “unlimited”.
error-account-exists = This address already has an account.
error-recipients-limit = Your account can have at most { $max ->
    [one] { $max } recipient
   *[other] { $max } recipients
}. A manager can raise this limit.
error-letter-size = The message is larger than { $size }, the limit of your account. Shorten it, or ask a manager to raise the limit.
error-pictures-limit = Your account can have at most { $max ->
    [one] { $max } picture
   *[other] { $max } pictures
}. Delete one you do not need, or ask a manager to raise the limit.
error-too-short = { $min ->
    [one] At least { $min } character.
   *[other] At least { $min } characters.
}
error-control-characters = Line breaks and control characters are not allowed here.
error-sent-before = This form was already saved with different content. What you see below is not saved yet; saving it will create a separate entry.
error-unknown-choice = Choose one of the options.
error-unknown-zone = There is no such time zone.
error-duplicate = This already exists.
error-email-syntax = This is not an e-mail address. Use an address like name@example.org.
error-wrong-login = Wrong address or password.
error-title-busy = Very busy right now
error-page-busy = Too many people are doing this right now. Try again in a minute.
error-wait-seconds = { $count ->
    [one] Try again in { $count } second.
   *[other] Try again in { $count } seconds.
}
error-wait-minutes = { $count ->
    [one] Try again in { $count } minute.
   *[other] Try again in { $count } minutes.
}
error-password-common = This is one of the first passwords an attacker would try. Choose one that only you would think of.
error-password-own = Your name or address is easy to guess. Choose something else.
error-wrong-code = This code is wrong or was already used.
error-wrong-password = This is not your current password.
error-domain-not-allowed = Accounts can only be created with addresses at { $domains }.
error-passkey-unknown = This passkey does not work here, or it took too long. Try again.
error-passkey-failed = Signing in failed: no passkey was chosen, or this device has none for this site.
error-unverified = Verify your address first.
error-colleague-own = This is your own address: test letters go there anyway.
error-too-many-colleagues = { $max ->
    [one] You can add at most { $max } colleague. Remove one first.
   *[other] You can add at most { $max } colleagues. Remove one first.
}
error-test-stranger = { $email } is neither your own verified address nor that of a colleague who agreed to receive test letters. You can ask a colleague under “{ account-title }” → “{ account-tab-colleagues }”.
error-test-suppressed = The owner of { $email } has unsubscribed from your letters.
error-test-limit = You can send at most { $max ->
    [one] { $max } test letter
   *[other] { $max } test letters
} an hour. Try again in an hour.
error-title-disk-short = Not enough space
error-page-disk-short = The server is running out of disk space, so files cannot be uploaded for now. Letters are still being sent. Try again later.
error-messages-limit = Your account can have at most { $max ->
    [one] { $max } message
   *[other] { $max } messages
}. Delete some, or ask a manager to raise the limit.
