number = { $n }
skip = Skip to content
menu = Menu
language = Language
theme = Theme
theme-light = Light
theme-dark = Dark
theme-auto = As the system
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
to-home = To the start page
save = Save
save-and-return = Save and close
cancel = Cancel
confirm-ok = Yes, do it
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
    [one] { $count } chosen
   *[other] { $count } chosen
}
select-all = Choose all
select-one = Choose { $name }
actions = Actions
pages = Pages
page-first = First page
page-next = Next page
none = none
no-matches = Nothing found
no-matches-hint = Try another word.
form-has-errors = Please look at the marked fields.
request-failed = That did not work: no answer from the server. Try again.
changed-meanwhile = This was changed in another tab or by somebody else after you opened it.
changed-meanwhile-hint = Below is what you typed. Saving again replaces the other version.
form-arrived-before = This form was already saved. Nothing was done twice.
changed-fields = Changed there:
ago-now = just now
ago-seconds = { $count } s ago
ago-minutes = { $count } min ago
ago-hours = { $count } h ago
ago-days = { $count ->
    [one] yesterday
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
sandbox-band = No mail server is set up: letters stay on this machine, in the sandbox.
sandbox-band-link = Read them
table-xlsx = Export Excel
table-csv = Export CSV
health-database = The database cannot be written at the moment: nothing is saved and no letters leave.
health-disk = Disk space is short: { $free } are free, and { $floor } must stay free. Uploads are refused until there is room.
health-engine = The sending engine of this process does not work at the moment. It is being started again.
health-no-worker = No process sends letters at the moment. Start skychimp worker, or skychimp serve without --no-worker.
