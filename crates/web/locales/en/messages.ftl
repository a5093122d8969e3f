messages-title = Messages
messages-new = New message
messages-edit = Message
messages-search = Search by subject
messages-subject = Subject
messages-subject-hint = Mail programs show about 60 characters. Personal fields work here too.
messages-preview-text = Preview text
messages-preview-text-hint = Shown after the subject in the inbox. Optional.
messages-body = Body
messages-html = HTML
messages-text = Text
messages-html-hint = An unsubscribe link is added at the end if the letter has none.
messages-text-hint = For mail programs that do not show HTML. Leave it empty to have it made from the HTML.
messages-kind = Kind
messages-used = Used in mailings
messages-changed = Changed
messages-send = New mailing with this message
messages-saved = Message saved.
messages-saved-not-sendable = Saved, but this message cannot be sent yet: it has errors. They are listed below the text.
messages-copied = This is the copy.
messages-copy-of = { $subject } (copy)
messages-deleted = Message deleted.
messages-delete-question = Delete the message “{ $subject }”? Letters already sent stay in the reports.
messages-in-use = This message cannot be deleted: it is used by { $mailings }.
messages-empty-title = Write your first message
messages-empty-text = A message is the subject and body of a letter. Personal fields insert each recipient’s name where you want it.
messages-empty-button = Write a message
messages-open-other = Open the other version
messages-insert = Personal field
messages-insert-name = Full name
messages-insert-first-name = First name
messages-insert-friend = friend
messages-insert-email = E-mail
messages-insert-unsubscribe = Unsubscribe link
messages-problems = Check
messages-problems-show = Check the message
messages-no-problems = No problems found.
messages-preview = Preview
messages-preview-empty = Nothing has been written yet.
messages-preview-failed = The letter cannot be made:
messages-preview-text-only = This message has no HTML. Recipients will see the text:
messages-who = Preview as
messages-who-search = Find a recipient
messages-part = Part of the letter
messages-source = Source
messages-width = Width
messages-desktop = Desktop
messages-phone = Phone
messages-sample-person = Example recipient
messages-sample-name = Maria Sokolova
messages-sample =
    <h1>Hello, {"{{"} name | default("friend") {"}}"}!</h1>
    <p>Write your news here.</p>
messages-test = Test letter
messages-test-hint = Your own address or those of colleagues who agreed, separated by commas. Test letters are not counted in statistics.
messages-test-button = Send test
messages-tested = { $count ->
    [one] { $count } test letter is on its way.
   *[other] { $count } test letters are on their way.
}
messages-tested-sandbox = Open the sandbox
messages-not-tested = The test letter was not sent.
messages-preview-limit = You have used up the previews for this hour. The next one is possible in { $minutes ->
    [one] { $minutes } minute
   *[other] { $minutes } minutes
}.
