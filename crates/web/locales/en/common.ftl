number = { $n }
quoted = “{ $text }”
skip = Skip to content
menu = Menu
language = Language
theme = Theme
theme-light = Light
theme-dark = Dark
theme-auto = Match system
nav-main = Main
nav-home = Overview
nav-recipients = Recipients
nav-lists = Lists
nav-messages = Messages
nav-mailings = Mailings
nav-sandbox = Sandbox
login = Sign in
logout = Sign out
footer = Your mailings, on your own server.
to-home = Go to the home page
save = Save
save-and-return = Save and close
cancel = Cancel
confirm-ok = Yes, continue
delete = Delete
edit = Edit
copy = Copy
open = Open
search = Search
show = Show
download = Download
close = Close
more = More
add = Add
chosen = { $count ->
    [one] { $count } selected
   *[other] { $count } selected
}
select-all = Select all
select-one = Select { $name }
actions = Actions
pages = Pages
page-first = First page
page-previous = Previous page
page-next = Next page
none = none
no-matches = Nothing found
no-matches-hint = Try a different search.
form-has-errors = Check the highlighted fields.
request-failed = The server did not respond. Try again.
changed-meanwhile = This was changed in another tab or by someone else after you opened it.
changed-meanwhile-hint = What you typed is below. Saving again will replace the other version.
form-arrived-before = This form was already saved. Nothing was saved twice.
changed-fields = Changed there:
ago-now = just now
ago-seconds = { $count } s ago
ago-minutes = { $count } min ago
ago-hours = { $count } h ago
ago-days = { $count ->
    [one] { $count } day ago
   *[other] { $count } days ago
}
count-letters = { $count ->
    [one] { $count } letter
   *[other] { $count } letters
}
count-recipients = { $count ->
    [one] { $count } recipient
   *[other] { $count } recipients
}
# Below the number of a tile.
tile-recipients = { $count ->
    [one] Recipient
   *[other] Recipients
}
tile-lists = { $count ->
    [one] List
   *[other] Lists
}
tile-messages = { $count ->
    [one] Message
   *[other] Messages
}
tile-mailings = { $count ->
    [one] Mailing
   *[other] Mailings
}
tile-letters = { $count ->
    [one] Letter
   *[other] Letters
}
tile-active = { $count ->
    [one] Receives letters
   *[other] Receive letters
}
sandbox-band = No mail server is set up: letters stay on this machine, in the sandbox.
sandbox-band-link = Open the sandbox
table-xlsx = Export to Excel
table-csv = Export to CSV
health-database = The database cannot be written to right now: nothing is saved, and no letters are sent.
health-disk = Disk space is low: { $free } free, but at least { $floor } must stay free. Uploads are refused until there is more space.
health-engine = The sending engine of this process is not working right now. It is being restarted.
health-no-worker = No process is sending letters right now. Start skychimp worker, or skychimp serve without --no-worker.
