lists-title = Lists
lists-new = New list
lists-name = Name
lists-comment = Comment
lists-members = Recipients
lists-get-mail = Get mail
lists-suppressed = Get nothing
lists-empty = No lists yet
lists-empty-text = A list is a named set of recipients: customers, subscribers, partners. A mailing goes to one or several lists.
lists-edit-one = Edit { $name }
lists-show-members = Show recipients
lists-used-by = Mailings that need this list:
lists-used-by-hint = It can be deleted when they are over.
lists-saved = List saved.
lists-deleted = List deleted. Its recipients stay.
lists-in-use = The list cannot be deleted: it is needed by { $mailings }.
lists-delete-question = Delete the list “{ $name }”? { $count ->
    [0] It has no recipients.
    [one] Its { $count } recipient stays, only the membership goes.
   *[other] Its { $count } recipients stay, only the memberships go.
}
error-list-exists = You have a list of this name already.
