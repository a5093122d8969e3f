landing-title = Mailings that account for every letter
landing-lead = Skychimp sends letters to your customers from your own server: on time, exactly once, and with the mail server’s reply for every address.
landing-register = Create account
landing-how = How it works
landing-note = Your data stays on the server that runs the service. No third-party trackers.
landing-shot-mailing = The page of a mailing: recipients, message and schedule, the numbers of a run and its progress
landing-shot-message = The message editor with personal fields and a preview
landing-shot-phone = The page of a mailing on a phone
landing-how-title = Four steps to your first mailing
landing-step-people = Recipients
landing-step-people-text = Import a table: stray spaces, duplicates and mistyped addresses are found for you.
landing-step-letter = Message
landing-step-letter-text = Write a message with personal fields and see it as its recipients will.
landing-step-start = Start
landing-step-start-text = Choose who gets it and when: once, daily, weekly or monthly. The button says how many people will receive it.
landing-step-log = Report
landing-step-log-text = Watch the letters go out, and read the mail server’s reply for every address.
landing-letter = A letter written to a person
landing-letter-text = A name, a city, an order number: whatever you know about a recipient can go into the letter. If something is missing, your fallback is used.
landing-letter-fields = Personal fields with fallbacks
landing-letter-preview = Preview as a real recipient, and a test letter to yourself
landing-letter-leave = One-click unsubscribe in every letter
landing-why = Why you can rely on it
landing-each = Every letter accounted for
landing-each-text = Every attempt is recorded with its time and the mail server’s reply. The totals add up to the last letter.
landing-once = None lost, none sent twice
landing-once-text = The server restarts in the middle of a mailing? It continues where it stopped, and no one gets the letter twice.
landing-retry = Temporary errors are retried
landing-retry-text = “Mailbox busy” or “come back later” does not cost you a recipient: the letter goes out with a later attempt, as long as the mailing lasts.
landing-time = On time, and once
landing-time-text = Recurrence follows your time zone: clock changes and short months are taken care of.
landing-team = Everyone has their own space
landing-team-text = Users never see each other’s recipients. A manager watches over the service without changing anything.
landing-yours = One program
landing-yours-text = A single file to install, and all you need on a laptop. As you grow, add PostgreSQL and more nodes.
landing-phone = A whole mailing in your pocket
landing-phone-text = Start it, pause it, see how many letters have gone out: all of that works on a phone too, and in the dark theme. Pages work even without JavaScript.
landing-compare = How it compares
landing-compare-cloud = Cloud service
landing-compare-script = Your own script
landing-row-yours = Where the addresses are
landing-ours-yours = On your server
landing-cloud-yours = With the owner of the service
landing-script-yours = On your server
landing-row-price = Cost of a thousand recipients
landing-ours-price = Nothing beyond your server
landing-cloud-price = Prices usually grow with the audience
landing-script-price = Nothing beyond your server
landing-row-log = The mail server’s reply
landing-ours-log = Word for word, for every attempt
landing-cloud-log = Usually just the result
landing-script-log = If you log it
landing-row-crash = A crash mid-mailing
landing-ours-crash = Continues with the very next letter
landing-cloud-crash = The service’s problem
landing-script-crash = Some get none, some get two
landing-row-retry = A temporary server error
landing-ours-retry = Retried until the mailing ends
landing-cloud-retry = Retried
landing-script-retry = The recipient is lost
landing-row-install = To get started
landing-ours-install = One file, no database server
landing-cloud-install = Signing up
landing-script-install = A few evenings
landing-last = Try it with ten addresses
landing-last-text = Create an account, add yourself and some colleagues, write a few lines and press “{ mailing-start }”. It takes about five minutes.
home-figures = The service right now
home-figure-mailings = { $count ->
    [one] mailing in total
   *[other] mailings in total
}
home-figure-active = { $count ->
    [one] running now
   *[other] running now
}
home-figure-recipients = { $count ->
    [one] unique recipient
   *[other] unique recipients
}
home-posts = From the blog
home-posts-all = All articles
