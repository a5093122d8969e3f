suppressions-title = Addresses that get nothing
suppressions-short = Unsubscribed
suppressions-text = No mailing goes to these addresses, whichever lists they are in. They stay here when the recipient is deleted or imported again.
suppressions-add-label = Send nothing more to
suppressions-add = Stop sending
suppressions-add-question = Send nothing more to { $email }?
suppressions-remove = Send again
suppressions-remove-question =
    Send mail to { $email } again?
    Do this only when the person asked for it.
suppressions-search = Part of an address
suppressions-reason = Why
suppressions-since = Since
suppressions-mailing = mailing
suppressions-reason-unsubscribed = Unsubscribed
suppressions-reason-manual = Added by you
suppressions-reason-bounced = No such address
suppressions-reason-complained = Reported as unwanted
suppressions-empty = Nobody has unsubscribed
suppressions-empty-text = Who unsubscribes from a letter comes here by itself, and so do addresses whose mailbox does not exist.
suppressions-added = Nothing more goes to { $email }.
suppressions-known = { $email } got nothing already.
suppressions-removed = { $email } gets mail again.
