imports-title = Import recipients
imports-file = File
imports-drop = Drop a table here or choose a file
imports-drop-hint = CSV with commas, semicolons or tabs, in UTF-8 or Windows-1251, up to { $size }
imports-upload = Upload
imports-how = How it works
imports-how-columns = One column contains the e-mail address. Columns with names, comments and other data of a recipient are recognised; all others become attributes.
imports-how-next = After the upload you see the columns and can correct what they become. Nothing is saved before that.
imports-how-update = Recipients with known addresses are updated; empty cells change nothing.
imports-how-suppressed = Suppressed addresses stay suppressed.
imports-latest = Latest imports
imports-rows = Rows
imports-at = Uploaded
imports-state-uploaded = Waiting for you
imports-state-waiting = Queued
imports-state-running = Running
imports-state-done = Completed
imports-state-failed = Failed
imports-columns = What is in the columns?
imports-encoding = Encoding
imports-delimiter = Separator
imports-delimiter-comma = Comma
imports-delimiter-semicolon = Semicolon
imports-delimiter-tab = Tab
imports-header = First line
imports-header-yes = Column names
imports-header-no = A recipient’s data
imports-look-again = Read again
imports-column = Column
imports-column-number = Column { $n }
imports-samples = For example
imports-becomes = Use as
imports-target-attribute = Attribute
imports-target-ignore = Skip
imports-attribute-name = Attribute name
imports-into-list = Add to list
imports-existing-list = One of your lists
imports-no-list = No list
imports-new-list = Or a new one
error-one-list = Choose a list or name a new one, not both.
imports-start = Import
imports-started = Import started
imports-waiting = Waiting for its turn
imports-running = Running
imports-progress = Rows:
imports-leave = You can leave this page. The import continues by itself, even after the service is restarted.
imports-reload = Refresh
imports-done = Import completed
imports-failed = Import failed
imports-failed-stays = Everything saved so far was kept.
imports-failed-file-lost = The uploaded file is gone. Upload it again: nothing will be duplicated.
imports-failed-disk-full = The service’s disk is full. Once there is space, continue the import.
imports-failed-gave-up = The same error occurred again and again; the administrator can find it in the log of the service. You can try to continue.
imports-failed-interrupted = The import was interrupted before the end of the file. Continue it: nothing will be duplicated.
imports-again = Continue
imports-delete = Remove from the list of imports
imports-delete-question = Remove this import and its file? Imported recipients will be kept.
imports-deleted = Import removed. Its recipients were kept.
imports-list = List
imports-added = Added
imports-updated = Updated
imports-unchanged = Unchanged
imports-duplicate = Duplicates in the file
imports-suppressed = Suppressed
imports-invalid = Not imported
imports-to-recipients = Show recipients
imports-to-message = Write a message
imports-errors = Rows that were not imported
imports-errors-download = Download all
imports-errors-more = { $shown ->
    [one] Showing { $shown } row.
   *[other] Showing the first { $shown } rows.
}
imports-line = Line
imports-value = Value
imports-reason = Reason
imports-no-address = No address.
error-file-empty = Choose a file that contains recipients.
error-file-workbook = This is an Excel workbook, but a CSV table is needed. Open it and save it as “CSV UTF-8”.
error-file-archive = This is an archive, but a CSV table is needed. Unpack it and upload the file in it.
error-file-picture = This is a picture, but a CSV table is needed. Choose another file.
error-file-document = This is a document, but a CSV table is needed. Save the table in it as “CSV UTF-8”.
error-file-binary = This file cannot be read as text. Save the table as “CSV UTF-8” and upload it.
error-no-email-column = Choose the column with the e-mail addresses.
error-column-twice = Two columns cannot become the same field.
error-csv-quotes = A quotation mark in this line is opened but never closed.
error-csv-too-long = The line is too long.
error-csv-fields = { $found ->
    [one] The line has { $found } cell instead of { $expected }.
   *[other] The line has { $found } cells instead of { $expected }.
}
error-not-utf8 = This line contains characters in a different encoding. Save the table as “CSV UTF-8” and upload it again.
error-uploads-waiting = { $max ->
    [one] { $max } file is already waiting to be imported, which is the limit. Import or remove it first.
   *[other] { $max } files are already waiting to be imported, which is the limit. Import or remove one of them first.
}
error-uploads-size = All uploaded files together can take up at most { $max } MB. Import or remove one of them first.
imports-unverified = Verify your address first: after that you can upload files.
