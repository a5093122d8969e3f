lists-title = Lists
lists-new = New list
lists-name = Name
lists-comment = Comment
lists-members = Recipients
lists-get-mail = Receive letters
lists-suppressed = Suppressed
lists-empty = No lists yet
lists-empty-text = A list is a named set of recipients: customers, subscribers, partners. A mailing goes to one or more lists.
lists-edit-one = Edit { $name }
lists-show-members = Show recipients
lists-used-by = Mailings that use this list:
lists-used-by-hint = You can delete it when they have completed.
lists-saved = List saved.
lists-deleted = List deleted. Its recipients were kept.
lists-in-use = The list cannot be deleted: it is used by { $mailings }.
lists-delete-question = Delete the list “{ $name }”? { $count ->
    [0] It has no recipients.
    [one] Its { $count } recipient will be kept, just no longer in this list.
   *[other] Its { $count } recipients will be kept, just no longer in this list.
}
error-list-exists = You already have a list with this name.
