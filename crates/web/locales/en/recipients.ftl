recipients-title = Recipients
recipients-new = New recipient
recipients-import = Import
recipients-import-file = Import a file
recipients-export = Export to CSV
recipients-empty = No recipients yet
recipients-empty-text = Recipients are the people you write to. Import them from a table, or add the first ones by hand. Then you write a message and plan a mailing.
recipients-search = Part of an address, name or phone
recipients-list = List
recipients-lists = Lists
recipients-any-list = All lists
recipients-state = State
recipients-any-state = Any state
recipients-active = Gets mail
recipients-suppressed = Gets nothing
recipients-more-than = More than { $count } recipients
recipients-no-matches-hint = Try another word, or look in all lists and states.
recipients-show-all = Show all recipients
recipients-chosen = Chosen:
recipients-chosen-actions = With those chosen
recipients-all = All { $count } that match
recipients-all-more = All that match, more than { $count }
recipients-choose-a-list = Choose a list…
recipients-add-to-list = Add to list
recipients-remove-from-list = Remove from list
recipients-delete-many-question =
    Delete the chosen recipients?
    They leave all their lists. What was sent to them stays in the reports, and who has unsubscribed stays unsubscribed.
recipients-delete-question =
    Delete { $email }?
    The recipient leaves all lists. What was sent stays in the reports, and an unsubscribed address stays unsubscribed.
recipients-email = E-mail
recipients-name = Full name
recipients-hint-name = As the letter will say it.
recipients-phone = Phone
recipients-hint-phone = A number with + and the code of the country is stored as +79001234567, any other one as you type it.
recipients-comment = Comment
recipients-hint-comment = For you only, never in a letter.
recipients-attributes = Attributes
recipients-attributes-hint = What else you know: city, birthday, bonus. A message can use them. An empty value removes the attribute; more lines appear after saving.
recipients-attribute-name = Attribute
recipients-attribute-value = Value
recipients-added-at = Added
recipients-changed-at = Changed
recipients-gets-nothing = This address gets no mail.
recipients-suppress = Send nothing more to this address…
recipients-newer = Newer
recipients-older = Older
recipients-page-previous = Previous page
recipients-added = { $email } was added.
recipients-saved = Recipient saved.
recipients-deleted = { $count ->
    [one] { $count } recipient deleted.
   *[other] { $count } recipients deleted.
}
recipients-joined = { $count ->
    [one] { $count } recipient added to the list.
   *[other] { $count } recipients added to the list.
}
recipients-left = { $count ->
    [one] { $count } recipient removed from the list.
   *[other] { $count } recipients removed from the list.
}
recipients-choose-list = Choose a list first.
error-recipient-exists = You have a recipient with this address already.
error-attribute-twice = The attribute “{ $name }” is there twice.
error-attribute-name-missing = A value has no attribute name.
error-attribute-key = An attribute's name has letters, digits, spaces, - and _ only.
error-attribute-value = A value is a text, a number, true, false, null or a list of those.
error-too-many = At most { $max }.
